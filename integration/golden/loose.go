package golden

// An order says how much of the order of messages is compared.
type order int

const (
	inOrder  order = iota // all of it
	byID                  // that of the messages of one invocation, or of one method invoked on the client
	byIDLast              // the same, and what was recorded last comes last
	anyOrder              // none
)

// Cases in which several things run at once by the contract, so that the recorded order is the one that happened to win.
var loose = map[string]map[string]order{
	"hub-json": {
		"failing methods, detailed errors off":                              byID,
		"streamIds in use by another running call":                          byID,
		"streams that fail later":                                           byID,
		"cancel twice, and of nothing":                                      byID,
		"stream method by plain invocation, and the reverse":                byID,
		"streamIds too few":                                                 byID, // a call with uploads does not hold up the next one
		"streamIds too many":                                                byID,
		"stream id in use, by a plain invocation":                           anyOrder,
		"upload ended with a result, which is ignored":                      byID,
		"upload item of the wrong type":                                     byID,
		"upload: a running upload does not hold up other invocations":       byID,
		"one at a time: pings, streams, completions are handled meanwhile?": byIDLast,
		"an unknown method behind a running one: does its error overtake?":  byIDLast,
		"a call with an upload behind a running one does not wait":          byIDLast,
	},
}

// order is that of a step: told by it, or by its case.
func (s *session) order(st Step) order {
	if st.text("order") == "any" {
		return anyOrder
	}
	return loose[s.file][s.name]
}
