package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pcapwarden/pcapwarden/internal/redact"
)

// redactKey is the environment variable that holds the key where no file does.
const redactKey = "PCAPWARDEN_REDACT_KEY"

func redactCapture(ctx context.Context, e environment, args []string) int {
	flags := flag.NewFlagSet("pcapwarden redact", flag.ContinueOnError)
	flags.SetOutput(e.stderr)
	flags.Usage = func() {
		fmt.Fprint(e.stderr, "usage: pcapwarden redact [FLAGS] CAPTURE OUT\n\n"+
			"Writes a derivative that can be shared: headers without payload, with other\n"+
			"addresses (Crypto-PAn: prefixes are preserved). A packet that can't be read to\n"+
			"the end of its headers is dropped. OUT"+recordSuffix+" says what was done.\n"+
			"\"-\" is standard input.\n\n"+
			"Without --key and "+redactKey+" the key is made up and forgotten: nobody\n"+
			"can undo the redaction, nor make another with the same addresses.\n\n")
		flags.PrintDefaults()
	}
	keyFile := flags.String("key", "", "`FILE` of the key; is made, with a new one, where there is none")
	var o redact.Options
	flags.DurationVar(&o.ShiftTime, "shift-time", 0, "add `DURATION`, such as -2400h, to all times")
	flags.BoolVar(&o.KeepOUI, "keep-oui", false, "keep the maker's half of Ethernet addresses")
	flags.BoolVar(&o.HidePlatform, "hide-platform", false, "replace 168.63.129.16 and 169.254.169.254, too, which all of Azure has in common")
	names := choice{"strip", []string{"strip", "hash"}}
	flags.Var(&names, "names", "strip cuts all payload; hash keeps `WHAT` DNS, DHCP, TLS hellos and HTTP heads say, with other names")
	tlp := choice{"amber", []string{"red", "amber+strict", "amber", "green", "clear"}}
	flags.Var(&tlp, "tlp", "how far the derivative may go (TLP 2.0): red, amber+strict, amber, green or clear `MARKING`")
	files, err := parse(flags, args)
	if err != nil {
		return usageCode(err)
	}
	if len(files) != 2 || files[1] == "-" {
		flags.Usage()
		return exitUsage
	}
	o.Version, o.HashNames, o.TLP = buildVersion(), names.value == "hash", redact.TLP("TLP:"+strings.ToUpper(tlp.value))
	if o.Key, err = loadKey(e, *keyFile); err != nil {
		fmt.Fprintf(e.stderr, "pcapwarden redact: %v\n", err)
		return exitUsage
	}
	record, err := redactFile(ctx, e, files[0], files[1], o)
	if err != nil {
		if ctx.Err() != nil {
			fmt.Fprintln(e.stderr, "pcapwarden redact: interrupted; nothing is written")
			return 130
		}
		fmt.Fprintf(e.stderr, "pcapwarden redact: %v\n", err)
		return exitError
	}
	fmt.Fprintf(e.stdout, "%s: %d of %d packets\n", files[1], record.Output.Packets, record.WasDerivedFrom.Packets)
	for _, reason := range slices.Sorted(maps.Keys(record.Dropped)) {
		fmt.Fprintf(e.stdout, "  %d dropped: %s\n", record.Dropped[reason], reason)
	}
	if d := record.WasDerivedFrom.Damage; d != "" {
		fmt.Fprintf(e.stdout, "  the rest is missing: %s\n", d)
	}
	fmt.Fprintf(e.stdout, "%s: what was done, and what it still tells\n", files[1]+recordSuffix)
	return exitOK
}

// recordSuffix is what the name of a derivative's record ends in.
const recordSuffix = ".redaction.json"

// redactFile writes the derivative and its record, or neither.
func redactFile(ctx context.Context, e environment, name, out string, o redact.Options) (record *redact.Record, err error) {
	in := e.stdin
	size := int64(-1)
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil {
			size = info.Size()
		}
		in = f
	}
	bar := newProgress(e.stderr, name, size)
	defer bar.Close()
	for _, n := range []string{out, out + recordSuffix} {
		if _, err := os.Lstat(n); err == nil {
			return nil, fmt.Errorf("%s is there already: name another file", n)
		}
	}
	err = writeWhole(out, func(w io.Writer) error {
		if record, err = redact.Run(ctx, io.TeeReader(in, bar), w, o); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		// The record is there before the file that it is about.
		var text bytes.Buffer
		enc := json.NewEncoder(&text)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		if err := enc.Encode(record); err != nil {
			return err
		}
		return os.WriteFile(out+recordSuffix, text.Bytes(), 0o600)
	})
	if err != nil {
		if record != nil {
			os.Remove(out + recordSuffix)
		}
		return nil, err
	}
	return record, nil
}

// writeWhole writes a file that only its owner reads. It has its name once it
// is whole.
func writeWhole(name string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*.part")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	w := bufio.NewWriterSize(f, 1<<20)
	if err := errors.Join(write(w), w.Flush(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// loadKey returns the key of a file, which is made if there is none, or of
// the environment, or one that is used but once.
func loadKey(e environment, file string) (redact.Key, error) {
	if file == "" {
		if text := e.getenv(redactKey); text != "" {
			k, err := redact.ParseKey(text)
			if err != nil {
				return k, fmt.Errorf("%s: %w", redactKey, err)
			}
			return k, nil
		}
		return redact.NewKey(), nil
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		k := redact.NewKey()
		_, err = f.WriteString(k.Text() + "\n")
		if err := errors.Join(err, f.Close()); err != nil {
			return k, err
		}
		fmt.Fprintf(e.stderr, "pcapwarden redact: made a new key, %s; keep it away from what is shared\n", file)
		return k, nil
	}
	if !errors.Is(err, fs.ErrExist) {
		return redact.Key{}, err
	}
	if f, err = os.Open(file); err != nil {
		return redact.Key{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 1<<10)) // not a whole capture that was named by mistake
	if err != nil {
		return redact.Key{}, err
	}
	k, err := redact.ParseKey(string(text))
	if err != nil {
		return k, fmt.Errorf("%s: %w", file, err)
	}
	return k, nil
}
