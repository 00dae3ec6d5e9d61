// Writes the syntax trees of the Bicep files named on the command line, as one
// JSON array. A node is [type, start, end, children, ...broken]; positions are
// in UTF-16 units, which are bytes for the ASCII that the files have to be.
'use strict';
const fs = require('fs');
const path = require('path');
const { Parser, Language } = require('web-tree-sitter');

const grammar = path.join(__dirname, 'node_modules', 'tree-sitter-bicep', 'tree-sitter-bicep.wasm');

function plain(n) {
  const node = [n.type, n.startIndex, n.endIndex, n.namedChildren.map(plain)];
  // What is missing is no named child, but it is an error.
  if (n.isError || n.isMissing || n.children.some((c) => c.isMissing || c.isError)) node.push(true);
  return node;
}

async function main() {
  await Parser.init();
  const parser = new Parser();
  parser.setLanguage(await Language.load(grammar));
  const trees = process.argv.slice(2).map((file) => {
    const root = parser.parse(fs.readFileSync(file, 'utf8')).rootNode;
    return { file, broken: root.hasError, root: plain(root) };
  });
  process.stdout.write(JSON.stringify(trees));
}

main().catch((e) => { console.error(e); process.exit(1); });
