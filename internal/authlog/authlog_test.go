package authlog_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/internal/authlog"
)

// Whoever makes tokens chooses the id of the user, with its length and its line breaks.
func TestALineIsShort(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })

	authlog.Refused(httptest.NewRequest("GET", "/", nil), "a\nb"+strings.Repeat("c", 10_000), "some reason", errors.New(strings.Repeat("d", 10_000)))

	if line := log.String(); strings.Count(line, "\n") != 1 || len(line) > 800 || !strings.Contains(line, `user="a\nbccc`) {
		t.Errorf("%d bytes: %.600s", len(line), line)
	}
}
