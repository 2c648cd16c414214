package publish

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/carillon-go/carillon/internal/floodgate"
	"github.com/carillon-go/carillon/protocol"
)

// The codes of errors, in the header x-ms-error-code and in the body. SDKs compare those of the
// first group. Those of the second are formed like them, and the last two like those of other
// services of Azure.
const (
	codeConnection      = "Warning.Connection.NotExisted"
	codeUser            = "Warning.User.NotExisted"
	codeGroup           = "Warning.Group.NotExisted"
	codeNotInGroup      = "Info.User.NotInGroup"
	codeErrorConnection = "Error.Connection.NotExisted"

	codeInvalid      = "Error.Request.Invalid"
	codeNoOperation  = "Error.Request.NotExisted"
	codeHub          = "Error.Hub.NotExisted"
	codeUnauthorized = "Error.Request.Unauthorized"
	codeMethod       = "Error.Request.MethodNotAllowed"
	codeTooLarge     = "Error.Request.TooLarge"
	codeTooSlow      = "Error.Request.TooSlow"
	codeMediaType    = "Error.Request.UnsupportedMediaType"
	codeKeyReused    = "Error.Request.IdempotencyKeyReused"
	codeLimit        = "Error.Request.LimitExceeded"
	codeClient       = "Error.Connection.Invalid"
	codeUnavailable  = "Error.Service.Unavailable"
	codeTimeout      = "Error.Service.Timeout"
	codeInternal     = "Error.Service.Failed"

	codeMissingVersion = "MissingApiVersionParameter"
	codeUnknownVersion = "UnsupportedApiVersionValue"
)

// failure is an error with its answer.
type failure struct {
	status  int
	code    string
	message string
	target  string // the part of the request that is wrong; "": not known
	allow   string // the header Allow
	// challenge is the header WWW-Authenticate.
	challenge string
}

func (f *failure) Error() string { return f.message }

// invalid returns the failure of a request with an error in one part.
func invalid(target, message string) *failure {
	return &failure{status: http.StatusBadRequest, code: codeInvalid, target: target, message: message}
}

var (
	errNoOperation = &failure{status: http.StatusNotFound, code: codeNoOperation, message: "there is no such operation; /api/openapi.json lists all"}
	errNoHub       = &failure{status: http.StatusNotFound, code: codeHub, target: "hub", message: "there is no such hub"}
)

// absent returns the failure of a call about something that does not exist.
func (c *call) absent() *failure {
	return &failure{status: http.StatusNotFound, code: c.route.missing, message: "the name in the path is not that of something that exists"}
}

// explain returns the failure for the error of an operation.
func (c *call) explain(ctx context.Context, err error) error {
	var (
		known *failure
		fault *protocol.Fault
		typed interface{ ErrorType() string }
	)
	switch {
	case errors.As(err, &known):
		return known
	case ctx.Err() != nil && errors.Is(context.Cause(ctx), errTimeout):
		return &failure{status: http.StatusGatewayTimeout, code: codeTimeout, message: "the operation took too long; parts of it may have been done"}
	case errors.As(err, &fault):
		return invalid("arguments", fault.Message)
	case errors.As(err, &typed):
		return c.explainTyped(typed.ErrorType(), err)
	case errors.Is(err, context.Canceled):
		return err
	}
	return &unavailable{err}
}

// explainTyped returns the failure for an error of a type that the hub names.
func (c *call) explainTyped(kind string, err error) error {
	switch {
	case kind == "IOException":
		return c.absent()
	case c.route.waits:
		return &failure{status: http.StatusBadRequest, code: codeClient, message: "the client answered with an error: " + err.Error()}
	}
	return &failure{status: http.StatusBadRequest, code: codeLimit, message: err.Error()}
}

// unavailable is the failure of other nodes.
type unavailable struct{ error }

// errMissing is the error of a question that only nodes that did not answer could have answered with yes.
var errMissing = &unavailable{errors.New("a node has not answered")}

// fail answers a request that has failed, and returns the status.
func (c *call) fail(w http.ResponseWriter, r *http.Request, err error) (status int) {
	var f *failure
	var away *unavailable
	switch {
	case errors.As(err, &f):
	case errors.As(err, &away):
		f = &failure{status: http.StatusServiceUnavailable, code: codeUnavailable, message: "other nodes could not be reached; parts of the operation may have been done"}
		w.Header().Set("Retry-After", "1")
	default:
		f = &failure{status: http.StatusInternalServerError, code: codeInternal, message: "the operation failed"}
	}
	if f.status >= http.StatusInternalServerError && r.Context().Err() == nil {
		k := floodgate.Kind{Level: slog.LevelError, Event: "publishing failed", Key: "operation", Value: c.route.id, Burst: burst}
		c.gate.Log(k, func() []slog.Attr {
			return []slog.Attr{slog.String("hub", floodgate.Clip(c.names.hub, maxLogged)), slog.String("error", floodgate.Clip(err.Error(), maxLogged))}
		})
	}
	f.write(w)
	return f.status
}

// burst is the number of lines about one operation that are logged at once; see floodgate. maxLogged is the longest text of a
// line, in bytes.
const (
	burst     = 100
	maxLogged = 256
)

// detail is the body of an error.
type detail struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Target  string `json:"target,omitempty"`
}

func (f *failure) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("x-ms-error-code", f.code)
	if f.allow != "" {
		h.Set("Allow", f.allow)
	}
	if f.challenge != "" {
		h.Set("WWW-Authenticate", f.challenge)
	}
	writeJSON(w, f.status, detail{f.code, f.message, f.target})
}

// writeJSON answers with a value that can be encoded, or with JSON as it is.
func writeJSON(w http.ResponseWriter, status int, value any) {
	body, isJSON := value.(json.RawMessage)
	if !isJSON {
		body, _ = json.Marshal(value) // it consists of text
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may have gone
}
