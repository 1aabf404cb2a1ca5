// SPDX-License-Identifier: Apache-2.0
#include "hub/partial_file.h"

#include <algorithm>
#include <memory>

#include "base/checked.h"

namespace mlos::hub {
namespace {

constexpr std::string_view kMagic("mlospart\x01", 9);
constexpr size_t kMaxEtag = 512;
constexpr uint64_t kMaxPieces = 1U << 20U;
constexpr size_t kFixedBytes = kMagic.size() + 8 + 8 + 2;

std::filesystem::path StatePath(std::filesystem::path path) { return path += ".state"; }

void PutU64(uint64_t value, std::string* out) {
  for (int shift = 0; shift < 64; shift += 8) out->push_back(static_cast<char>(value >> shift));
}

uint64_t GetU64(std::string_view bytes) {
  uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value |= uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  return value;
}

uint64_t CountPieces(uint64_t size_bytes, uint64_t piece_bytes) {
  return size_bytes == 0 ? 0 : (size_bytes - 1) / piece_bytes + 1;
}

uint64_t LengthOf(const PartialState& state, size_t piece) {
  return std::min(state.piece_bytes, state.size_bytes - piece * state.piece_bytes);
}

}  // namespace

Result<PartialState> ParsePartialState(std::string_view bytes) {
  if (bytes.size() < kFixedBytes || !bytes.starts_with(kMagic))
    return DataLoss("not the state of a download");
  PartialState state;
  state.size_bytes = GetU64(bytes.substr(kMagic.size()));
  state.piece_bytes = GetU64(bytes.substr(kMagic.size() + 8));
  const size_t etag_length = static_cast<unsigned char>(bytes[kFixedBytes - 2]) |
                             static_cast<size_t>(static_cast<unsigned char>(bytes[kFixedBytes - 1])) << 8U;
  bytes.remove_prefix(kFixedBytes);
  if (state.piece_bytes == 0 || etag_length > kMaxEtag || etag_length > bytes.size()) {
    return DataLoss("the state of the download is damaged");
  }
  state.etag = bytes.substr(0, etag_length);
  bytes.remove_prefix(etag_length);
  const uint64_t pieces = CountPieces(state.size_bytes, state.piece_bytes);
  if (pieces > kMaxPieces || bytes.size() != pieces * 8)
    return DataLoss("the state of the download is damaged");
  for (size_t piece = 0; piece < pieces; ++piece) {
    state.done.push_back(GetU64(bytes.substr(piece * 8)));
    if (state.done.back() > LengthOf(state, piece)) return DataLoss("the state of the download is damaged");
  }
  return state;
}

std::string SerializePartialState(const PartialState& state) {
  std::string out(kMagic);
  PutU64(state.size_bytes, &out);
  PutU64(state.piece_bytes, &out);
  out.push_back(static_cast<char>(state.etag.size()));
  out.push_back(static_cast<char>(state.etag.size() >> 8U));
  out += state.etag;
  for (const uint64_t done : state.done) PutU64(done, &out);
  return out;
}

Result<PartialFile> PartialFile::Open(const std::filesystem::path& path, uint64_t size_bytes,
                                      uint64_t piece_bytes, bool keep_state) {
  PartialFile partial;
  partial.contiguous_ = std::make_unique<std::atomic<uint64_t>>(0);
  bool resumed = false;
  if (keep_state && os::Exists(path)) {
    if (const auto bytes = os::ReadFile(StatePath(path), 16U << 20U); bytes.ok()) {
      if (auto state = ParsePartialState(*bytes); state.ok() && state->size_bytes == size_bytes) {
        partial.state_ = *std::move(state);
        resumed = true;
      }
    }
  }
  if (!resumed) {
    partial.state_.size_bytes = size_bytes;
    partial.state_.piece_bytes = std::max({piece_bytes, uint64_t{1}, size_bytes / kMaxPieces + 1});
    partial.state_.done.assign(CountPieces(size_bytes, partial.state_.piece_bytes), 0);
  }
  MLOS_ASSIGN_OR_RETURN(
      partial.file_, os::File::Open(path, resumed ? os::File::Mode::kOpenOrCreate : os::File::Mode::kCreate));
  MLOS_ASSIGN_OR_RETURN(const uint64_t present, partial.file_.Size());
  // Bytes that are counted but not there were never written: somebody cut the file.
  for (size_t piece = 0; piece < partial.pieces(); ++piece) {
    const uint64_t begin = partial.PieceBegin(piece);
    partial.state_.done[piece] = std::min(partial.state_.done[piece], present > begin ? present - begin : 0);
  }
  if (keep_state) {
    MLOS_ASSIGN_OR_RETURN(partial.state_file_,
                          os::File::Open(StatePath(path), os::File::Mode::kOpenOrCreate));
    MLOS_RETURN_IF_ERROR(partial.WriteState());
  }
  partial.UpdateContiguous();
  return partial;
}

uint64_t PartialFile::PieceLength(size_t piece) const { return LengthOf(state_, piece); }

uint64_t PartialFile::TotalDone() const {
  uint64_t total = 0;
  for (const uint64_t done : state_.done) total += done;
  return total;
}

void PartialFile::UpdateContiguous() {
  while (first_open_piece_ < pieces() && state_.done[first_open_piece_] == PieceLength(first_open_piece_)) {
    ++first_open_piece_;
  }
  const uint64_t end = first_open_piece_ == pieces()
                           ? state_.size_bytes
                           : PieceBegin(first_open_piece_) + state_.done[first_open_piece_];
  contiguous_->store(end, std::memory_order_release);
}

Status PartialFile::WriteState() {
  if (!state_file_.is_open()) return OkStatus();
  const std::string bytes = SerializePartialState(state_);
  MLOS_RETURN_IF_ERROR(state_file_.WriteAt(0, bytes));
  return state_file_.Truncate(bytes.size());
}

Status PartialFile::WriteDone(size_t piece) {
  if (!state_file_.is_open()) return OkStatus();
  std::string bytes;
  PutU64(state_.done[piece], &bytes);
  return state_file_.WriteAt(kFixedBytes + state_.etag.size() + piece * 8, bytes);
}

Status PartialFile::SetEtag(const std::string& etag) {
  if (etag == state_.etag || etag.size() > kMaxEtag) return OkStatus();
  state_.etag = etag;
  return WriteState();
}

Status PartialFile::Append(size_t piece, std::span<const std::byte> data) {
  MLOS_RETURN_IF_ERROR(file_.WriteAt(PieceBegin(piece) + state_.done[piece], data));
  state_.done[piece] += data.size();
  if (piece == first_open_piece_) UpdateContiguous();
  return WriteDone(piece);
}

Status PartialFile::Restart() {
  std::fill(state_.done.begin(), state_.done.end(), 0);
  state_.etag.clear();
  first_open_piece_ = 0;
  UpdateContiguous();
  MLOS_RETURN_IF_ERROR(WriteState());
  return file_.Truncate(0);
}

Status PartialFile::Finish() {
  const std::filesystem::path state_path = StatePath(file_.path());
  if (state_file_.is_open()) {
    MLOS_RETURN_IF_ERROR(state_file_.Close());
    MLOS_RETURN_IF_ERROR(os::RemoveFile(state_path));
  }
  return file_.Close();
}

Status PartialFile::Drop() {
  const std::filesystem::path data_path = file_.path();
  const Status finished = Finish();
  const Status removed = os::RemoveFile(data_path);
  return finished.ok() ? removed : finished;
}

}  // namespace mlos::hub
