package doctor

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/carillon-go/carillon/internal/cures"
)

// advise finds for each finding the boxes that may be the cause and what to write there.
func (r *Report) advise() {
	for _, f := range r.Findings {
		found := false
		for _, kind := range r.suspects() {
			if c, known := cures.Boxes[kind][f.Code]; known {
				r.addAdvice(kind, c)
				found = true
			}
		}
		if f.Code == codeIdle {
			r.adviseIdle()
		} else if c, known := cures.General[f.Code]; known && !found {
			r.addAdvice("", c)
		}
	}
}

// suspects are the kinds of the boxes between here and the server. A forward proxy that
// the environment names is one even where it does not say what it is.
func (r *Report) suspects() (kinds []string) {
	for _, b := range r.Boxes {
		if !isServer(b.Kind) && !slices.Contains(kinds, b.Kind) {
			kinds = append(kinds, b.Kind)
		}
	}
	return kinds
}

// adviseIdle tells what the server can do where the box cannot be changed.
func (r *Report) adviseIdle() {
	cut := r.shortest()
	pings := max(time.Second, (cut / 2).Truncate(time.Second))
	r.addAdvice("", cures.Cure{
		Text: fmt.Sprintf("where the box cannot be changed, the server pings oftener and ends idle polls earlier than silence is cut, every %v", pings),
		Lines: []string{
			fmt.Sprintf("hub.Options{KeepAliveInterval: %s}, transports.Options{PollTimeout: %s} // Carillon", goDuration(pings), goDuration(pings)),
			fmt.Sprintf("KeepAliveInterval = TimeSpan.FromSeconds(%[1]d), LongPolling.PollTimeout = TimeSpan.FromSeconds(%[1]d) // ASP.NET Core", int(pings.Seconds())),
		},
	})
}

func goDuration(d time.Duration) string { return fmt.Sprintf("%d * time.Second", int(d.Seconds())) }

// addAdvice adds advice once.
func (r *Report) addAdvice(box string, c cures.Cure) {
	for _, a := range r.Advice {
		if a.Box == box && a.Text == c.Text {
			return
		}
	}
	a := Advice{Box: box, Text: c.Text, Lines: []string{}}
	for _, line := range c.Lines {
		a.Lines = append(a.Lines, r.fillIn(line))
	}
	r.Advice = append(r.Advice, a)
}

func (r *Report) fillIn(line string) string {
	u, err := url.Parse(r.URL)
	if err != nil {
		return line
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return strings.NewReplacer("$HOST", u.Hostname(), "$PORT", port, "$PATH", u.EscapedPath(), "$UP", "SERVER").Replace(line)
}
