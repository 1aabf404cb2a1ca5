// SPDX-License-Identifier: Apache-2.0
// A download under way: the bytes so far, and beside them "<path>.state", which says which bytes those are, so that a
// killed download goes on where it was.
//
//   state  = magic size piece_bytes etag_length etag done*
//   magic  = "mlospart" %x01
//   size, piece_bytes, done = 8 bytes little-endian; etag_length = 2 bytes, at most 512
//   done   : for each piece, how many bytes from its beginning are in the file; pieces are piece_bytes long, the last
//            one shorter
//
// Progress is written after the bytes it counts. A crash of the machine may still lose bytes that are counted: the digest
// over the whole file finds that out.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "os/file.h"

namespace mlos::hub {

// What a state file says; a pure value, so that reading it can be tested and fuzzed.
struct PartialState {
  uint64_t size_bytes = 0;
  uint64_t piece_bytes = 1;
  std::string etag;            // of the answers the bytes came from; "" = unknown
  std::vector<uint64_t> done;  // one per piece
};
// kDataLoss when it is damaged.
Result<PartialState> ParsePartialState(std::string_view bytes);
std::string SerializePartialState(const PartialState& state);

// Writes come from one thread; Contiguous() and ReadAt from any.
class PartialFile {
 public:
  // Continues what is at `path` when its state fits `size_bytes`; else starts empty. `keep_state` false (small files):
  // always empty, no state file.
  static Result<PartialFile> Open(const std::filesystem::path& path, uint64_t size_bytes,
                                  uint64_t piece_bytes, bool keep_state);

  size_t pieces() const { return state_.done.size(); }
  uint64_t PieceBegin(size_t piece) const { return piece * state_.piece_bytes; }
  uint64_t PieceLength(size_t piece) const;
  uint64_t PieceDone(size_t piece) const { return state_.done[piece]; }
  const std::string& etag() const { return state_.etag; }
  Status SetEtag(const std::string& etag);

  // Appends to the piece; the caller does not write past its end.
  Status Append(size_t piece, std::span<const std::byte> data);
  // Forgets all bytes.
  Status Restart();

  // Bytes from the beginning without a hole.
  uint64_t Contiguous() const { return contiguous_->load(std::memory_order_acquire); }
  uint64_t TotalDone() const;
  Result<size_t> ReadAt(uint64_t offset, std::span<std::byte> buffer) const {
    return file_.ReadAt(offset, buffer);
  }

  // All bytes are there: removes the state file and closes. The file stays.
  Status Finish();
  // Removes both.
  Status Drop();
  const std::filesystem::path& path() const { return file_.path(); }

 private:
  PartialFile() = default;
  Status WriteState();
  Status WriteDone(size_t piece);
  void UpdateContiguous();

  os::File file_;
  os::File state_file_;  // not open for small files
  PartialState state_;
  size_t first_open_piece_ = 0;
  std::unique_ptr<std::atomic<uint64_t>> contiguous_;
};

}  // namespace mlos::hub
