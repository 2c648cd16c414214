package doctor

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/carillon-go/carillon/internal/remedies"
)

// advise finds for each finding the boxes that may cause it, and their remedies.
func (r *Report) advise() {
	suspects := r.suspects()
	for _, f := range r.Findings {
		found := r.adviseFor(suspects, f.Code, false)
		if c, known := remedies.General[f.Code]; known && !found {
			r.addAdvice(Advice{}, c)
		}
		if len(suspects) == 0 {
			r.adviseFor(remedies.Kinds(), f.Code, true)
		}
		if f.Code == codeIdle {
			r.adviseIdle()
		}
	}
}

// adviseFor adds the known remedies for boxes of the given kinds.
func (r *Report) adviseFor(kinds []string, code string, guess bool) (found bool) {
	for _, kind := range kinds {
		if c, known := remedies.Boxes[kind][code]; known {
			r.addAdvice(Advice{Box: kind, Guess: guess}, c)
			found = true
		}
	}
	return found
}

// suspects are the kinds of the boxes that are known to stand in between.
func (r *Report) suspects() (kinds []string) {
	for _, b := range r.Boxes {
		if remedies.Boxes[b.Kind] != nil && !slices.Contains(kinds, b.Kind) {
			kinds = append(kinds, b.Kind)
		}
	}
	return kinds
}

// adviseIdle adds the remedy on the server's side, for boxes that cannot be changed.
func (r *Report) adviseIdle() {
	cut := r.shortest()
	pings := max(time.Second, (cut / 2).Truncate(time.Second))
	r.addAdvice(Advice{}, remedies.Remedy{
		Text: fmt.Sprintf("where the box cannot be changed, the server pings oftener and ends idle polls earlier than silence is cut, every %v", pings),
		Lines: []string{
			fmt.Sprintf("hub.Options{KeepAliveInterval: %s}, transports.Options{PollTimeout: %s} // Carillon", goDuration(pings), goDuration(pings)),
			fmt.Sprintf("KeepAliveInterval = TimeSpan.FromSeconds(%[1]d), LongPolling.PollTimeout = TimeSpan.FromSeconds(%[1]d) // ASP.NET Core", int(pings.Seconds())),
		},
	})
}

func goDuration(d time.Duration) string { return fmt.Sprintf("%d * time.Second", int(d.Seconds())) }

// addAdvice adds advice once.
func (r *Report) addAdvice(a Advice, c remedies.Remedy) {
	a.Text, a.Lines = c.Text, []string{}
	for _, there := range r.Advice {
		if there.Box == a.Box && there.Text == a.Text {
			return
		}
	}
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
