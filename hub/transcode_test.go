package hub

import "testing"

// A message of another process becomes complete messages of the other protocol, or an error.
func FuzzTranscode(f *testing.F) {
	f.Add([]byte("{\"type\":1,\"target\":\"x\",\"arguments\":[1,\"a\",{\"b\":[1.5,null]}]}\x1e"), false)
	f.Add([]byte("{\"type\":7,\"error\":\"x\"}\x1e{\"type\":6}\x1e"), false)
	f.Add([]byte("\x12\x96\x01\x80\xc0\xa7Receive\x91\xa2hi\x90"), true)
	f.Add([]byte("\x13\x96\x01\x80\xc0\xa1a\x92\x81\x01\x02\xd6\xff\x00\x00\x00\x00\x90"), true)
	f.Fuzz(func(t *testing.T, payload []byte, binary bool) {
		from, to := foreign[0], foreign[1]
		if binary {
			from, to = to, from
		}
		out, err := newWire(to, 0, nil).transcode(nil, from, payload)
		for err == nil && len(out) > 0 {
			record, rest, broken := to.Next(out, 0, 0)
			if broken != nil || record == nil {
				t.Fatalf("%q became %q: %v", payload, out, broken)
			}
			out = rest
		}
	})
}
