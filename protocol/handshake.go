package protocol

import (
	"errors"
	"strconv"
)

// HandshakeRequest is the first record on a connection, from the client.
type HandshakeRequest struct {
	Protocol string // name of a hub protocol, without regard to case
	Version  int
}

// ErrHandshakeTooLong says that the first record exceeds the limit. The original answers it with "Handshake was canceled.".
var ErrHandshakeTooLong = errors.New("protocol: the handshake exceeds the limit")

// NextHandshake cuts the first whole record off buf and returns what follows it, which is hub messages. A nil record without an
// error means that more data is needed. limit is the largest record in bytes with its separator; 0 or less: none. The error is
// [ErrHandshakeTooLong].
func NextHandshake(buf []byte, limit int) (record, rest []byte, err error) {
	return NextHandshakeAfter(buf, 0, limit)
}

// NextHandshakeAfter is NextHandshake for a receiver that gets the record in many pieces: in the first seen bytes of buf an
// earlier call has found no whole record.
func NextHandshakeAfter(buf []byte, seen, limit int) (record, rest []byte, err error) {
	record, rest, err = nextText(buf, seen, limit)
	if err != nil {
		return nil, buf, ErrHandshakeTooLong
	}
	return record, rest, nil
}

// ParseHandshakeRequest reads a request. The error is a [*Fault].
func ParseHandshakeRequest(record []byte) (HandshakeRequest, error) {
	var (
		q                       HandshakeRequest
		r                       = jsonReader{data: record}
		hasProtocol, hasVersion bool
	)
	err := r.handshake(func(name string) (err error) {
		switch name {
		case "protocol":
			q.Protocol, err = r.string(name, "")
			hasProtocol = true
		case "version":
			var n int64
			n, hasVersion, err = r.integer(name, 32)
			q.Version = int(n)
		default:
			err = r.skip()
		}
		return err
	})
	switch {
	case err != nil:
		return q, handshakeFault(err)
	case !hasProtocol:
		return q, missingInHandshake("protocol", record)
	case !hasVersion:
		return q, missingInHandshake("version", record)
	}
	return q, nil
}

// handshake reads the object that a record must be, each value with member.
func (r *jsonReader) handshake(member func(name string) error) error {
	if err := r.object(); err != nil {
		return err
	}
	for first := true; ; first = false {
		name, escaped, more, err := r.property(first)
		if err != nil || !more {
			return err
		}
		if escaped {
			name, _ = unescape(name)
		}
		if err := member(string(name)); err != nil {
			return err
		}
	}
}

// handshakeFault tells what is no JSON in the reader's own words, unlike jsonFault.
func handshakeFault(err error) *Fault {
	var syntax *syntaxError
	if errors.As(err, &syntax) {
		return &Fault{Exception: exceptionJSONReader, Message: syntax.Error()}
	}
	return jsonFault(err)
}

func missingInHandshake(name string, record []byte) *Fault {
	return invalidData("Missing required property '%s'. Message content: %s", name, validText(record))
}

// AppendHandshakeRequest appends a request with its separator.
func AppendHandshakeRequest(dst []byte, r HandshakeRequest) []byte {
	dst = append(dst, `{"protocol":`...)
	dst = appendJSONString(dst, r.Protocol)
	dst = append(dst, `,"version":`...)
	dst = strconv.AppendInt(dst, int64(r.Version), 10)
	return append(dst, '}', recordSeparator)
}

// AppendHandshakeResponse appends an answer with its separator: a refusal, or with an empty errorText the consent.
func AppendHandshakeResponse(dst []byte, errorText string) []byte {
	if errorText == "" {
		return append(dst, '{', '}', recordSeparator)
	}
	dst = append(dst, `{"error":`...)
	dst = appendJSONString(dst, errorText)
	return append(dst, '}', recordSeparator)
}

// ParseHandshakeResponse reads an answer. errorText is that of a refusal. The error, a [*Fault], says that it is no answer.
func ParseHandshakeResponse(record []byte) (errorText string, err error) {
	r := jsonReader{data: record}
	err = r.handshake(func(name string) (err error) {
		switch name {
		case "error":
			errorText, err = r.string(name, "")
		case "type":
			err = invalidData("Expected a handshake response from the server.")
		default:
			err = r.skip()
		}
		return err
	})
	if err != nil {
		return "", handshakeFault(err)
	}
	return errorText, nil
}
