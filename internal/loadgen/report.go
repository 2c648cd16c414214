package loadgen

import "time"

// Report is the result of a run. Its JSON is stable: fields may be added, none is
// renamed.
type Report struct {
	URL         string  `json:"url"`
	Mode        Mode    `json:"mode"`
	Transport   string  `json:"transport"`
	Protocol    string  `json:"protocol"`
	Connections int     `json:"connections"`
	InFlight    int     `json:"inFlight,omitempty"`
	Payload     int     `json:"payloadBytes,omitempty"`
	Seconds     float64 `json:"seconds"` // measured time

	Opened      int      `json:"opened"`
	OpenSeconds float64  `json:"openSeconds"` // until all were open
	Opening     *Latency `json:"opening,omitempty"`
	Failed      int64    `json:"failed"` // could not be opened
	Lost        int64    `json:"lost"`   // ended by themselves
	// Refused counts the connections that a limit of the server refused (429 or 503), in the
	// modes connect and negotiate those of the measured time. They are a result and no failure.
	Refused    int64  `json:"refused"`
	Errors     int64  `json:"errors"` // calls that the hub answered with an error
	FirstError string `json:"firstError,omitempty"`

	// Operations are deliveries, echoes, connections or negotiations in the measured time.
	Operations    int64    `json:"operations"`
	PerSecond     float64  `json:"perSecond"`
	Latency       *Latency `json:"latency,omitempty"`
	Fired         int64    `json:"broadcasts,omitempty"` // that were asked for
	Missing       int64    `json:"missing,omitempty"`    // deliveries of them that did not come
	BytesReceived int64    `json:"bytesReceived"`

	Server *Process `json:"server,omitempty"`
	Client *Process `json:"client,omitempty"`
	// ClientSaturated reports whether the client used most of its machine. Then the result
	// measures the client too.
	ClientSaturated bool `json:"clientSaturated"`
}

// Latency holds quantiles in microseconds.
type Latency struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"meanMicros"`
	P50   float64 `json:"p50Micros"`
	P99   float64 `json:"p99Micros"`
	P999  float64 `json:"p999Micros"`
	Max   float64 `json:"maxMicros"`
}

// Process is the usage of a process in the measured time.
type Process struct {
	CPUSeconds         float64 `json:"cpuSeconds"`
	UserSeconds        float64 `json:"userSeconds"`
	SystemSeconds      float64 `json:"systemSeconds"`
	Cores              float64 `json:"cores"` // on average
	MicrosPerOperation float64 `json:"cpuMicrosPerOperation,omitempty"`
	ResidentBytes      int64   `json:"residentBytes"` // at the end
	// BytesPerConnection is the growth of the process while idle connections were opened
	// and held, divided by their number. It is meaningful only for a freshly started server.
	BytesPerConnection float64 `json:"residentBytesPerConnection,omitempty"`
}

// Healthy reports whether every connection was opened or refused by a limit of the server, all
// open ones stayed open, and every call and broadcast arrived.
func (r *Report) Healthy() bool {
	return r.Failed == 0 && r.Lost == 0 && r.Errors == 0 && r.Missing == 0
}

func latencyOf(h *histogram) *Latency {
	if h.total == 0 {
		return nil
	}
	return &Latency{
		Count: h.total,
		Mean:  micros(time.Duration(h.sum / h.total)),
		P50:   micros(h.quantile(0.5)),
		P99:   micros(h.quantile(0.99)),
		P999:  micros(h.quantile(0.999)),
		Max:   micros(time.Duration(h.max)),
	}
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
