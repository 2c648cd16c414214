package protocol

// Guid is .NET's Guid, in the order of its text: "00010203-0405-0607-0706-050403020100" is {0, 1, 2, 3, …}. It is text in both
// hub protocols.
type Guid [16]byte
