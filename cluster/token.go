package cluster

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"sync"
)

// A token is base64url( version 1 | pid 8 | nonce 12 | AES-256-GCM( key 16 | home ) | tag 16 ).
// The cipher's key depends on the secret and the pid. The version, the pid and the name of the
// hub are additional data. The home is an address as encodeAddress encodes it. A token has 80
// characters with an address of IPv4, 96 of IPv6, and maxToken at most.
const (
	tokenVersion = 1

	pidLength   = 8
	nonceLength = 12
	keyLength   = 16
	tagLength   = 16

	headLength = 1 + pidLength
	minSealed  = headLength + nonceLength + keyLength + tagLength
	maxSealed  = minSealed + maxAddress
	maxToken   = (maxSealed*8 + 5) / 6
)

// pid is the random number of a process.
type pid [pidLength]byte

func newPID() (p pid) {
	_, _ = rand.Read(p[:]) // never fails
	return p
}

func (p pid) String() string { return hex.EncodeToString(p[:]) }

func parsePID(text string) (pid, error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != pidLength {
		return pid{}, errMessage
	}
	return pid(b), nil
}

// process is one run of a node's program, and the address at which it listens to other nodes.
type process struct {
	pid     pid
	address string
}

// opened is the content of a token.
type opened struct {
	key  string // the registry's key of the connection
	home process
}

// sealer seals the tokens of this process, and opens the tokens of all processes with the same
// secret. It is safe for concurrent use.
type sealer struct {
	self    process
	home    []byte // address of self, encoded
	secrets []keys // current first

	mu     sync.RWMutex
	byPID  map[pid]known // of self, and of other processes after their first token
	sealAs cipher.AEAD
}

// known is a process that has sealed a token.
type known struct {
	aead    cipher.AEAD
	address string
}

// maxKnown is the number of processes in byPID.
const maxKnown = 1024

func newSealer(secrets []keys, self process) (*sealer, error) {
	home, err := encodeAddress(self.address)
	if err != nil {
		return nil, err
	}
	s := &sealer{self: self, home: home, secrets: secrets, sealAs: secrets[0].token(self.pid)}
	s.byPID = map[pid]known{self.pid: {s.sealAs, self.address}}
	return s, nil
}

var tokenText = base64.RawURLEncoding.Strict()

// seal returns the token of a connection of a hub. key is the connection's key in its
// registry: 16 bytes in base64url.
func (s *sealer) seal(hub, key string) (token string, ok bool) {
	var plain [keyLength + maxAddress]byte
	if len(key) != tokenText.EncodedLen(keyLength) {
		return "", false
	}
	if _, err := tokenText.Decode(plain[:], []byte(key)); err != nil {
		return "", false
	}
	var b [maxSealed]byte
	b[0] = tokenVersion
	copy(b[1:], s.self.pid[:])
	nonce := b[headLength : headLength+nonceLength]
	_, _ = rand.Read(nonce) // never fails
	content := append(plain[:keyLength], s.home...)
	sealed := s.sealAs.Seal(b[:headLength+nonceLength], nonce, content, additional(b[:headLength], hub))
	return tokenText.EncodeToString(sealed), true
}

// additional returns the additional data of a token.
func additional(head []byte, hub string) []byte {
	return append(append(make([]byte, 0, 64), head...), hub...)
}

// open returns the content of a token of a hub. It reports false if no process with one of the
// secrets sealed it for that hub.
func (s *sealer) open(hub, token string) (opened, bool) {
	var b [maxSealed]byte
	if len(token) > maxToken {
		return opened{}, false
	}
	n, err := tokenText.Decode(b[:], []byte(token))
	if err != nil || n < minSealed || b[0] != tokenVersion {
		return opened{}, false
	}
	sealer := pid(b[1:headLength])
	plain, from := s.decrypt(sealer, b[headLength:n], additional(b[:headLength], hub))
	if plain == nil {
		return opened{}, false
	}
	address := plain[keyLength:]
	if from.address == "" { // the first token of this process
		if from.address, err = parseAddress(address); err != nil {
			return opened{}, false
		}
		s.remember(sealer, from)
	}
	return opened{tokenText.EncodeToString(plain[:keyLength]), process{sealer, from.address}}, true
}

// decrypt returns the plain text of a token. from has no address if no token of the process
// was opened before.
func (s *sealer) decrypt(p pid, sealed, data []byte) (plain []byte, from known) {
	nonce, text := sealed[:nonceLength], sealed[nonceLength:]
	s.mu.RLock()
	from, ok := s.byPID[p]
	s.mu.RUnlock()
	if ok {
		plain, _ = from.aead.Open(text[:0], nonce, text, data)
		return plain, from
	}
	for _, secret := range s.secrets {
		from.aead = secret.token(p)
		if plain, err := from.aead.Open(nil, nonce, text, data); err == nil { // a failure in place would destroy the text
			return plain, from
		}
	}
	return nil, known{}
}

// remember keeps the cipher of a process. If there are too many, it forgets all but the own
// one.
func (s *sealer) remember(p pid, k known) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.byPID) >= maxKnown {
		clear(s.byPID)
		s.byPID[s.self.pid] = known{s.sealAs, s.self.address}
	}
	s.byPID[p] = k
}
