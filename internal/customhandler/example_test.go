package customhandler_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/customhandler"
)

// A custom handler, whole.
func Example() {
	log := slog.New(customhandler.LogHandler(slog.NewJSONHandler(os.Stdout, nil)))
	start := func(ctx context.Context, r *customhandler.Request) (*customhandler.Response, error) {
		if len(r.Body) == 0 {
			return nil, customhandler.Permanent(errors.New("the body is empty; send an alert")) // 400
		}
		log.InfoContext(ctx, "alert taken") // with the invocation's id
		return &customhandler.Response{Status: 202, Body: map[string]bool{"accepted": true}}, nil
	}
	sweep := func(ctx context.Context, t customhandler.Tick) error {
		return nil // an error fails the invocation
	}
	h, err := customhandler.New(log, customhandler.Options{Timeout: 4 * time.Minute},
		customhandler.HTTP("startcaptures", 300<<10, start).Within(time.Minute),
		customhandler.Timer("sweepcaptures", sweep))
	if err != nil {
		log.Error("wrong functions", "err", err)
		os.Exit(1)
	}
	l, err := customhandler.Listen(os.Getenv)
	if err != nil {
		log.Error("not started by the Functions host", "err", err)
		os.Exit(1)
	}
	os.Exit(customhandler.ExitCode(customhandler.Serve(context.Background(), log, l, h, 10*time.Second)))
}
