package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

var guid = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

func tenant(c *Config, v string) error {
	if !guid.MatchString(v) {
		return fmt.Errorf("%q: want the tenant's ID, a GUID", v)
	}
	c.TenantID = v
	return nil
}

func mode(c *Config, v string) error {
	var word string
	err := oneOf(func(*Config) *string { return &word }, string(All), string(Control), string(Analyze))(c, v)
	c.Mode = Mode(word)
	return err
}

func text(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, v string) error { *field(c) = v; return nil }
}

func onOff(field func(*Config) *bool) func(*Config, string) error {
	return func(c *Config, v string) error {
		var word string
		err := oneOf(func(*Config) *string { return &word }, "on", "off")(c, v)
		*field(c) = word == "on"
		return err
	}
}

func oneOf(field func(*Config) *string, choices ...string) func(*Config, string) error {
	return func(c *Config, v string) error {
		if slices.Contains(choices, v) {
			*field(c) = v
			return nil
		}
		return fmt.Errorf("%q: want one of %s", v, strings.Join(choices, ", "))
	}
}

// signingKey takes file:PATH and the https URL of a key. Whoever opens it
// knows more.
func signingKey(c *Config, v string) error {
	if !strings.HasPrefix(v, "https://") && (!strings.HasPrefix(v, "file:") || len(v) == len("file:")) {
		return errors.New("want file:PATH, or https://VAULT.vault.azure.net/keys/NAME")
	}
	c.SigningKey = v
	return nil
}

// store takes file:DIR, the https URL of a container, or a connection string.
// A connection string may hold a key, so it is never quoted.
func store(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, v string) error {
		switch {
		case strings.HasPrefix(v, "file:") && len(v) > len("file:"),
			strings.HasPrefix(v, "https://"),
			strings.Contains(v, "AccountName="), strings.HasPrefix(v, "UseDevelopmentStorage=true"):
			*field(c) = v
			return nil
		}
		return errors.New("want file:DIR, https://ACCOUNT.blob.core.windows.net/CONTAINER, or an emulator's connection string")
	}
}

// queue takes file:DIR, sb://NAMESPACE/QUEUE, or a connection string.
func queue(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, v string) error {
		switch {
		case strings.HasPrefix(v, "file:") && len(v) > len("file:"),
			strings.HasPrefix(v, "sb://"), strings.HasPrefix(v, "Endpoint=sb://"):
			*field(c) = v
			return nil
		}
		return errors.New("want file:DIR, sb://NAMESPACE/QUEUE, or an emulator's connection string with EntityPath")
	}
}

func endpoint(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, v string) error {
		u, err := url.Parse(v)
		if err != nil || u.Host == "" || u.User != nil || (u.Scheme != "https" && u.Scheme != "http") {
			return errors.New("want https://HOST")
		}
		if u.Scheme == "http" && !loopback(v) {
			return errors.New("plain http is for this machine only: a token must not cross a network unencrypted")
		}
		*field(c) = strings.TrimSuffix(v, "/")
		return nil
	}
}

func loopback(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

func timeout(c *Config, v string) error {
	d, err := time.ParseDuration(v)
	if err != nil || d < 10*time.Second {
		return fmt.Errorf("%q: want a duration of at least 10s, such as 29m", v)
	}
	c.FunctionTimeout = d
	return nil
}
