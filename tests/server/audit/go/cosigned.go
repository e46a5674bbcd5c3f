package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"filippo.io/mldsa"
	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// checkCosigned checks a checkpoint, and the proofs beside it, by torchwood's policies: the log's key and each of the
// witnesses must have signed. Ed25519 cosignatures are torchwood's to verify; it has no ML-DSA-44 yet, so that verifier
// is made here, from the standard's text, over filippo.io/mldsa.
func checkCosigned(dir string) (accepted, error) {
	var found accepted
	vkeys, err := os.ReadFile(filepath.Join(dir, "witnesses"))
	if err != nil {
		return found, err
	}
	vkey, err := os.ReadFile(filepath.Join(dir, "vkey"))
	if err != nil {
		return found, err
	}
	verifier, err := note.NewVerifier(string(vkey))
	if err != nil {
		return found, fmt.Errorf("vkey: %w", err)
	}
	policies := []torchwood.Policy{
		torchwood.OriginPolicy(verifier.Name()), torchwood.SingleVerifierPolicy(verifier),
	}
	for _, line := range strings.Fields(string(vkeys)) {
		witness, err := newWitness(line)
		if err != nil {
			return found, fmt.Errorf("witness: %w", err)
		}
		policies = append(policies, torchwood.SingleVerifierPolicy(witness))
	}
	policy := torchwood.ThresholdPolicy(len(policies), policies...)
	msg, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		return found, err
	}
	checkpoint, opened, err := torchwood.VerifyCheckpoint(msg, policy)
	if err != nil {
		return found, fmt.Errorf("checkpoint: %w", err)
	}
	found.Size = checkpoint.N
	found.Cosignatures = int64(len(opened.Sigs) - 1)
	paths, err := filepath.Glob(filepath.Join(dir, "proofs", "*.tlog-proof"))
	if err != nil {
		return found, err
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return found, err
		}
		leaf, err := torchwood.ProofExtraData(data)
		if err != nil {
			return found, fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
		if err := torchwood.VerifyProof(policy, tlog.RecordHash(leaf), data); err != nil {
			return found, fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
		found.Inclusion++
	}
	return found, nil
}

const (
	algMLDSA44       = 6
	mldsa44KeyLen    = 1312
	timestampLen     = 8
	mldsa44SignedLen = timestampLen + 2420
)

func newWitness(vkey string) (note.Verifier, error) {
	name, rest, _ := strings.Cut(vkey, "+")
	id, encoded, _ := strings.Cut(rest, "+")
	key, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || len(key) == 0 {
		return nil, errors.New("malformed verifier key")
	}
	if key[0] != algMLDSA44 {
		return torchwood.NewCosignatureVerifier(vkey)
	}
	sum := sha256.Sum256(append([]byte(name+"\n"), key...))
	hash, err := strconv.ParseUint(id, 16, 32)
	if err != nil || uint32(hash) != binary.BigEndian.Uint32(sum[:]) || len(key) != 1+mldsa44KeyLen {
		return nil, errors.New("malformed verifier key")
	}
	public, err := mldsa.NewPublicKey(mldsa.MLDSA44(), key[1:])
	if err != nil {
		return nil, err
	}
	return &mldsaWitness{name, uint32(hash), public}, nil
}

type mldsaWitness struct {
	name   string
	hash   uint32
	public *mldsa.PublicKey
}

func (w *mldsaWitness) Name() string    { return w.name }
func (w *mldsaWitness) KeyHash() uint32 { return w.hash }

func (w *mldsaWitness) Verify(msg, sig []byte) bool {
	checkpoint, err := torchwood.ParseCheckpoint(string(msg))
	if err != nil || len(sig) != mldsa44SignedLen || checkpoint.Extension != "" {
		return false
	}
	var signed bytes.Buffer
	signed.WriteString("subtree/v1\n\x00")
	signed.WriteByte(byte(len(w.name)))
	signed.WriteString(w.name)
	signed.Write(sig[:timestampLen])
	signed.WriteByte(byte(len(checkpoint.Origin)))
	signed.WriteString(checkpoint.Origin)
	signed.Write(make([]byte, 8))
	signed.Write(binary.BigEndian.AppendUint64(nil, uint64(checkpoint.N)))
	signed.Write(checkpoint.Hash[:])
	return mldsa.Verify(w.public, signed.Bytes(), sig[timestampLen:], nil) == nil
}
