// Zegelcheck checks a log that Zegel made with the Go project's own packages, which know nothing of Zegel:
// golang.org/x/mod/sumdb/note for signatures, golang.org/x/mod/sumdb/tlog for everything of the tree; and with
// filippo.io/torchwood, C2SP's own, for the cosignatures of witnesses.
//
// Usage:
//
//	zegelcheck log DIR      checks a directory as the log serves it, and what lies beside it:
//	                        vkey, checkpoint, tile/..., proofs/*.tlog-proof (with the leaf as extra data),
//	                        consistency/* (a line "old root", then a line for each hash)
//	zegelcheck cosigned DIR checks vkey, checkpoint and proofs/*.tlog-proof with torchwood's policies: the log's key and
//	                        each of those in the file witnesses must have signed
//	zegelcheck stream       reads lines "index size root leafhash hash..." and "old new oldroot newroot : hash..."
//
// Hashes are in base64. It prints what it accepted as JSON, and exits 1 at the first thing that it refuses.
package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const tileHeight = 8

// accepted counts what was checked and found good.
type accepted struct {
	Size        int64 `json:"size"`
	Tiles       int   `json:"tiles"`
	Entries     int64 `json:"entries"`
	Inclusion   int64 `json:"inclusion"`
	Consistency int64 `json:"consistency"`

	Cosignatures int64 `json:"cosignatures,omitempty"`
}

func main() {
	var found accepted
	var err error
	switch {
	case len(os.Args) == 3 && os.Args[1] == "log":
		found, err = checkLog(os.Args[2])
	case len(os.Args) == 3 && os.Args[1] == "cosigned":
		found, err = checkCosigned(os.Args[2])
	case len(os.Args) == 2 && os.Args[1] == "stream":
		found, err = checkStream(os.Stdin)
	default:
		err = errors.New("usage: zegelcheck log DIR | zegelcheck cosigned DIR | zegelcheck stream")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "refused:", err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		os.Exit(1)
	}
}

// openCheckpoint verifies a checkpoint's signature and reads its tree head with Go's own parser, which wants another
// first line than an origin, so that line is exchanged after the signature was checked.
func openCheckpoint(msg []byte, verifier note.Verifier) (tlog.Tree, error) {
	opened, err := note.Open(msg, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("checkpoint: %w", err)
	}
	origin, rest, _ := strings.Cut(opened.Text, "\n")
	if origin != verifier.Name() {
		return tlog.Tree{}, fmt.Errorf("checkpoint: origin %q", origin)
	}
	tree, err := tlog.ParseTree([]byte("go.sum database tree\n" + rest))
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("checkpoint: %w", err)
	}
	return tree, nil
}

func checkLog(dir string) (accepted, error) {
	var found accepted
	vkey, err := os.ReadFile(filepath.Join(dir, "vkey"))
	if err != nil {
		return found, err
	}
	verifier, err := note.NewVerifier(string(vkey))
	if err != nil {
		return found, fmt.Errorf("vkey: %w", err)
	}
	msg, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		return found, err
	}
	tree, err := openCheckpoint(msg, verifier)
	if err != nil {
		return found, err
	}
	found.Size = tree.N

	tiles := &tileDir{dir: dir, saved: map[tlog.Tile]bool{}}
	reader := tlog.TileHashReader(tree, tiles)
	if err := checkEntries(dir, tree, reader, &found); err != nil {
		return found, err
	}
	found.Tiles = len(tiles.saved)
	if err := checkProofs(dir, verifier, reader, &found); err != nil {
		return found, err
	}
	return found, checkConsistency(dir, tree, &found)
}

// checkEntries reads every leaf hash through TileHashReader, which authenticates each tile against the tree head, and
// holds the entries against them.
func checkEntries(dir string, tree tlog.Tree, reader tlog.HashReader, found *accepted) error {
	indexes := make([]int64, tree.N)
	for i := range indexes {
		indexes[i] = tlog.StoredHashIndex(0, int64(i))
	}
	hashes, err := reader.ReadHashes(indexes)
	if err != nil {
		return fmt.Errorf("tiles: %w", err)
	}
	for start := int64(0); start < tree.N; start += 1 << tileHeight {
		width := min(tree.N-start, 1<<tileHeight)
		data, err := os.ReadFile(filepath.Join(dir, tilePath("entries", start>>tileHeight, int(width))))
		if err != nil {
			return err
		}
		for i := start; i < start+width; i++ {
			if len(data) < 2 || len(data)-2 < int(binary.BigEndian.Uint16(data)) {
				return fmt.Errorf("entry %d: truncated", i)
			}
			end := 2 + int(binary.BigEndian.Uint16(data))
			if tlog.RecordHash(data[2:end]) != hashes[i] {
				return fmt.Errorf("entry %d: not the one in the tree", i)
			}
			data = data[end:]
			found.Entries++
		}
		if len(data) != 0 {
			return fmt.Errorf("bundle %d: trailing data", start>>tileHeight)
		}
	}
	return nil
}

func checkProofs(dir string, verifier note.Verifier, reader tlog.HashReader, found *accepted) error {
	paths, err := filepath.Glob(filepath.Join(dir, "proofs", "*.tlog-proof"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		proof, err := parseProof(data)
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
		tree, err := openCheckpoint(proof.checkpoint, verifier)
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
		if err := tlog.CheckRecord(proof.hashes, tree.N, tree.Hash, proof.index, tlog.RecordHash(proof.leaf)); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
		// Go makes the same proof from our tiles.
		made, err := tlog.ProveRecord(tree.N, proof.index, reader)
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
		if fmt.Sprint(made) != fmt.Sprint(proof.hashes) {
			return fmt.Errorf("%s: another proof than Go's", filepath.Base(path))
		}
		found.Inclusion++
	}
	return nil
}

func checkConsistency(dir string, tree tlog.Tree, found *accepted) error {
	paths, err := filepath.Glob(filepath.Join(dir, "consistency", "*"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		words := strings.Fields(string(data))
		if len(words) < 2 {
			return fmt.Errorf("consistency %s: too short", filepath.Base(path))
		}
		old, err := strconv.ParseInt(words[0], 10, 64)
		if err != nil {
			return err
		}
		hashes, err := parseHashes(words[1:])
		if err != nil {
			return err
		}
		if err := tlog.CheckTree(hashes[1:], tree.N, tree.Hash, old, hashes[0]); err != nil {
			return fmt.Errorf("consistency %s: %w", filepath.Base(path), err)
		}
		found.Consistency++
	}
	return nil
}

func checkStream(in *os.File) (accepted, error) {
	var found accepted
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 1<<20), 1<<20)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) < 4 {
			return found, fmt.Errorf("line %q", lines.Text())
		}
		first, err := strconv.ParseInt(words[0], 10, 64)
		if err != nil {
			return found, err
		}
		second, err := strconv.ParseInt(words[1], 10, 64)
		if err != nil {
			return found, err
		}
		consistency := len(words) > 4 && words[4] == ":"
		if consistency {
			words = append(words[:4:4], words[5:]...)
		}
		hashes, err := parseHashes(words[2:])
		if err != nil {
			return found, err
		}
		if consistency {
			err = tlog.CheckTree(hashes[2:], second, hashes[1], first, hashes[0])
			found.Consistency++
		} else {
			err = tlog.CheckRecord(hashes[2:], second, hashes[0], first, hashes[1])
			found.Inclusion++
		}
		if err != nil {
			return found, fmt.Errorf("line %d: %w", found.Inclusion+found.Consistency, err)
		}
	}
	return found, lines.Err()
}

type proofFile struct {
	leaf       []byte
	index      int64
	hashes     []tlog.Hash
	checkpoint []byte
}

// parseProof reads a C2SP tlog-proof; Go's packages have no reader for it.
func parseProof(data []byte) (proofFile, error) {
	var proof proofFile
	head, checkpoint, ok := bytes.Cut(data, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	if !ok || len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return proof, errors.New("not a proof with extra data")
	}
	extra, isExtra := strings.CutPrefix(lines[1], "extra ")
	index, isIndex := strings.CutPrefix(lines[2], "index ")
	if !isExtra || !isIndex {
		return proof, errors.New("not a proof with extra data")
	}
	var err error
	if proof.leaf, err = base64.StdEncoding.Strict().DecodeString(extra); err != nil {
		return proof, err
	}
	if proof.index, err = strconv.ParseInt(index, 10, 64); err != nil {
		return proof, err
	}
	proof.checkpoint = checkpoint
	proof.hashes, err = parseHashes(lines[3:])
	return proof, err
}

func parseHashes(words []string) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, 0, len(words))
	for _, word := range words {
		hash, err := tlog.ParseHash(word)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, hash)
	}
	return hashes, nil
}

// tileDir serves tiles from a directory in the layout of C2SP tlog-tiles, which is Go's without the height.
type tileDir struct {
	dir   string
	saved map[tlog.Tile]bool
}

func (d *tileDir) Height() int { return tileHeight }

func (d *tileDir) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		data, err := os.ReadFile(filepath.Join(d.dir, tilePath(strconv.Itoa(tile.L), tile.N, tile.W)))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

// SaveTiles is called with the tiles that were authenticated.
func (d *tileDir) SaveTiles(tiles []tlog.Tile, _ [][]byte) {
	for _, tile := range tiles {
		d.saved[tile] = true
	}
}

func tilePath(level string, n int64, width int) string {
	path := tlog.Tile{H: tileHeight, L: 0, N: n, W: width}.Path()
	return "tile/" + level + "/" + strings.TrimPrefix(path, fmt.Sprintf("tile/%d/0/", tileHeight))
}
