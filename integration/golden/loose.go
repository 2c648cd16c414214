package golden

// An order states how strictly the order of messages is compared.
type order int

const (
	inOrder  order = iota // the whole order
	byID                  // the order of the messages of one invocation, or of one method invoked on the client
	byIDLast              // the same, and the message recorded last must come last
	anyOrder              // no order
)

// loose names the cases in which several things run concurrently by contract, so that the
// recorded order is one of several possible ones.
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

// order returns the order of a step, which the step or its case defines.
func (s *session) order(st Step) order {
	if st.text("order") == "any" {
		return anyOrder
	}
	return loose[s.file][s.name]
}
