package doctor

import (
	"net/http"
	"strings"

	"github.com/carillon-go/carillon/internal/remedies"
)

// identify names the boxes that left a mark in an answer's headers.
func identify(h http.Header) (boxes []Box) {
	for _, t := range remedies.Telling {
		for _, value := range h.Values(t.Header) {
			kind, evidence := kindOf(value), t.Header+": "+value
			switch {
			case kind != "":
			case t.Own == "": // a server that is no box
				kind = "server"
			default: // the header says it, its value is another one each time
				kind, evidence = t.Own, t.Header
			}
			boxes = append(boxes, Box{Kind: kind, Evidence: evidence})
		}
	}
	return boxes
}

func kindOf(text string) string {
	text = strings.ToLower(text)
	for _, m := range remedies.Marks {
		if strings.Contains(text, m.Mark) {
			return m.Kind
		}
	}
	return ""
}

// identifyPage names the box that wrote an error page. HAProxy signs neither headers
// nor pages, but no other box uses its wording.
func identifyPage(page string) (boxes []Box) {
	switch {
	case strings.Contains(page, "The server didn't respond in time.") || strings.Contains(page, "No server is available to handle this request."):
		return []Box{{Kind: "haproxy", Evidence: "the words of its error page"}}
	case strings.Contains(page, "Guru Meditation"):
		return []Box{{Kind: "varnish", Evidence: "its error page"}}
	case strings.Contains(page, "<center>nginx"):
		return []Box{{Kind: "nginx", Evidence: "its error page"}}
	case strings.Contains(page, "<address>Apache"):
		return []Box{{Kind: "apache", Evidence: "its error page"}}
	}
	return nil
}
