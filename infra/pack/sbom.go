package main

import (
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// sbom is the bill of materials of a program, as CycloneDX 1.6. Its source is
// what the linker wrote into the program, so it lists what is in there, not
// what go.mod would allow. It has no date and no serial number: the same
// program has the same bill.
// https://cyclonedx.org/docs/1.6/json/
func sbom(version string, program io.ReaderAt) ([]byte, error) {
	info, err := buildinfo.Read(program)
	if err != nil {
		return nil, err
	}
	if info.Main.Path == "" {
		return nil, errors.New("not built as a module")
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if settings["GOOS"] != "linux" || settings["GOARCH"] != "amd64" || settings["CGO_ENABLED"] != "0" {
		return nil, fmt.Errorf("built for %s/%s with CGO_ENABLED=%s, Azure runs linux/amd64 without a C library", settings["GOOS"], settings["GOARCH"], settings["CGO_ENABLED"])
	}
	self := component{Type: "application", Name: "pcapwarden", Version: version, Ref: "pcapwarden", PURL: purl(info.Main.Path, version)}
	self.Licenses = []any{map[string]any{"license": map[string]string{"id": "MIT"}}}
	self.Properties = []property{
		{"go:version", info.GoVersion}, {"go:trimpath", settings["-trimpath"]}, {"vcs:revision", settings["vcs.revision"]}, {"vcs:modified", settings["vcs.modified"]},
	}
	std := strings.TrimPrefix(info.GoVersion, "go")
	components := []component{{Type: "library", Name: "std", Version: std, Ref: purl("std", std), PURL: purl("std", std)}}
	for _, m := range info.Deps {
		if m.Replace != nil {
			return nil, fmt.Errorf("module %s is replaced by %s: nobody could find out what that is", m.Path, m.Replace.Path)
		}
		c := component{Type: "library", Name: m.Path, Version: m.Version, Ref: purl(m.Path, m.Version), PURL: purl(m.Path, m.Version)}
		c.Properties = []property{{"go:sum", m.Sum}}
		components = append(components, c)
	}
	var refs []string
	for _, c := range components {
		refs = append(refs, c.Ref)
	}
	return json.MarshalIndent(map[string]any{
		"$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json", "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
		"metadata":     map[string]any{"component": self},
		"components":   components,
		"dependencies": []any{map[string]any{"ref": self.Ref, "dependsOn": refs}},
	}, "", "  ")
}

type component struct {
	Type       string     `json:"type"`
	Ref        string     `json:"bom-ref"`
	Name       string     `json:"name"`
	Version    string     `json:"version"`
	PURL       string     `json:"purl"`
	Licenses   []any      `json:"licenses,omitempty"`
	Properties []property `json:"properties,omitempty"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// purl names a module for those who look vulnerabilities up.
// https://github.com/package-url/purl-spec
func purl(path, version string) string {
	return "pkg:golang/" + path + "@" + strings.ReplaceAll(version, "+", "%2B")
}
