// Opens pages as a browser does, and says what is wrong with them: one JSON
// object a page, theme and width. The arguments are the browser, the folder
// for pictures ("" for none), and the pages' files.
const fs = require('fs');
const path = require('path');
const { pathToFileURL } = require('url');
const { chromium } = require('playwright-core');

const axe = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const [executablePath, pictures, ...files] = process.argv.slice(2);

async function look(browser, file, colorScheme, width) {
  const context = await browser.newContext({ colorScheme, viewport: { width, height: 900 }, offline: true });
  const page = await context.newPage();
  const said = [];
  const asked = [];
  page.on('console', (m) => said.push(`${m.type()}: ${m.text()}`));
  page.on('pageerror', (e) => said.push(`error: ${e.message}`));
  const own = pathToFileURL(file).href;
  page.on('request', (r) => { if (r.url() !== own && r.url() !== 'data:,') asked.push(r.url()); });
  await page.goto(own);
  const closed = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  if (pictures) {
    await page.screenshot({ path: path.join(pictures, `${path.basename(file, '.html')}-${colorScheme}-${width}.png`), fullPage: true });
  }
  // What is folded is read, too.
  await page.evaluate(() => document.querySelectorAll('details').forEach((d) => { d.open = true; }));
  const open = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  await page.evaluate(axe);
  const result = await page.evaluate(() => axe.run(document, { resultTypes: ['violations'] }));
  await context.close();
  return {
    file: path.basename(file), theme: colorScheme, width, console: said, requests: asked, overflow: Math.max(closed, open),
    passes: result.passes.length,
    violations: result.violations.map((v) => ({ id: v.id, impact: v.impact, help: v.help, nodes: v.nodes.slice(0, 3).map((n) => `${n.target.join(' ')}: ${n.failureSummary}`) })),
  };
}

(async () => {
  const browser = await chromium.launch({
    executablePath, args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-dev-shm-usage'],
  });
  for (const file of files) {
    for (const theme of ['light', 'dark']) {
      for (const width of [1280, 400]) {
        console.log(JSON.stringify(await look(browser, file, theme, width)));
      }
    }
  }
  await browser.close();
})().catch((e) => { console.error(e); process.exit(1); });
