// SPDX-License-Identifier: Apache-2.0
#include "package/digest.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <new>
#include <utility>

#include "os/file.h"

namespace mlos::package {
namespace {

// A message digest of OpenSSL. Its calls fail only without memory, which is answered as C++ does.
class Digest {
 public:
  explicit Digest(const EVP_MD* type) : context_(EVP_MD_CTX_new()) {
    if (context_ == nullptr || EVP_DigestInit_ex(context_, type, nullptr) != 1) throw std::bad_alloc();
  }
  ~Digest() { EVP_MD_CTX_free(context_); }
  Digest(const Digest&) = delete;
  Digest& operator=(const Digest&) = delete;

  void Update(std::span<const std::byte> data) { EVP_DigestUpdate(context_, data.data(), data.size()); }
  std::string FinishHex() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> bytes;
    unsigned int size = 0;
    EVP_DigestFinal_ex(context_, bytes.data(), &size);
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string hex;
    for (unsigned int i = 0; i < size; ++i) {
      hex += kDigits[bytes[i] >> 4];
      hex += kDigits[bytes[i] & 15];
    }
    return hex;
  }

 private:
  EVP_MD_CTX* context_;
};

}  // namespace

struct Sha256::State {
  Digest digest{EVP_sha256()};
};

Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::Update(std::span<const std::byte> data) { state_->digest.Update(data); }

std::string Sha256::Finish() { return state_->digest.FinishHex(); }

std::string Sha256Hex(std::string_view data) {
  Sha256 sha;
  sha.Update(data);
  return sha.Finish();
}

Result<std::string> Sha256File(const std::filesystem::path& path) {
  Sha256 sha;
  MLOS_RETURN_IF_ERROR(os::ReadChunks(path, [&](std::span<const std::byte> chunk) {
    sha.Update(chunk);
    return OkStatus();
  }));
  return sha.Finish();
}

Result<std::string> GitBlobSha1File(const std::filesystem::path& path) {
  MLOS_ASSIGN_OR_RETURN(const os::FileInfo info, os::Stat(path));
  Digest digest(EVP_sha1());
  std::string header = "blob " + std::to_string(info.size_bytes);
  header += '\0';
  digest.Update(std::as_bytes(std::span(header)));
  uint64_t seen = 0;
  MLOS_RETURN_IF_ERROR(os::ReadChunks(path, [&](std::span<const std::byte> chunk) {
    digest.Update(chunk);
    seen += chunk.size();
    return OkStatus();
  }));
  if (seen != info.size_bytes) return Unavailable("'" + path.string() + "' changed while it was read");
  return digest.FinishHex();
}

bool IsSha256Hex(std::string_view text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace mlos::package
