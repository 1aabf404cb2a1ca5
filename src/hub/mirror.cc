// SPDX-License-Identifier: Apache-2.0
#include "hub/mirror.h"

#include <utility>  // Boost 1.74 forgets it

#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include <thread>
#include <vector>

#include "base/json_writer.h"
#include "base/version.h"
#include "hub/mirror_catalog.h"
#include "hub/mirror_target.h"
#include "os/file.h"
#include "os/sendfile.h"

namespace mlos::hub {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;

constexpr auto kIdle = std::chrono::seconds(60);
constexpr auto kStall = std::chrono::seconds(60);
constexpr uint32_t kMaxHeaderBytes = 16U << 10U;
constexpr size_t kSendBytes = 1U << 20U;

struct Shared {
  explicit Shared(const MirrorOptions& o) : options(o), catalog(o.root, o.cache_dir) {}
  const MirrorOptions options;
  const Catalog catalog;
};

using Request = http::request<http::empty_body>;
using Reply = http::response<http::string_body>;

Reply MakeReply(const Request& request, http::status status, std::string body, const char* type) {
  Reply reply(status, request.version());
  reply.set(http::field::server, std::string("axon-mirror/") + kVersion);
  reply.set(http::field::content_type, type);
  reply.keep_alive(request.keep_alive());
  reply.body() = std::move(body);
  reply.prepare_payload();
  return reply;
}

Reply Refuse(const Request& request, http::status status, const char* code, const std::string& message) {
  JsonWriter json;
  json.BeginObject().Key("error").String(message).EndObject();
  Reply reply = MakeReply(request, status, std::move(json).Take(), "application/json");
  if (code[0] != 0) reply.set("X-Error-Code", code);
  reply.set("X-Error-Message", message);
  return reply;
}

void WriteDigests(const CatalogFile& file, const char* blob_key, const char* sha256_key, JsonWriter* json) {
  json->Key("size").Uint(file.size_bytes);
  json->Key(blob_key).String(file.is_lfs ? file.digest.substr(0, 40) : file.digest);
  if (!file.is_lfs) return;
  json->Key("lfs").BeginObject().Key(sha256_key).String(file.digest).Key("size").Uint(file.size_bytes);
  json->Key("pointerSize").Uint(128 + std::to_string(file.size_bytes).size()).EndObject();
}

std::string InfoJson(const CatalogRepository& repository, bool blobs) {
  JsonWriter json;
  json.BeginObject().Key("_id").String(repository.commit.substr(0, 24)).Key("id").String(repository.id);
  json.Key("modelId").String(repository.id).Key("sha").String(repository.commit);
  json.Key("private").Bool(false).Key("gated").Bool(false).Key("disabled").Bool(false);
  json.Key("downloads").Int(0).Key("likes").Int(0).Key("tags").BeginArray().EndArray();
  json.Key("siblings").BeginArray();
  for (const CatalogFile& file : repository.files) {
    json.BeginObject().Key("rfilename").String(file.path);
    if (blobs) WriteDigests(file, "blobId", "sha256", &json);
    json.EndObject();
  }
  json.EndArray().EndObject();
  return std::move(json).Take();
}

// Null when the folder does not exist.
std::optional<std::string> TreeJson(const CatalogRepository& repository, const MirrorTarget& target) {
  const std::string prefix = target.path.empty() ? "" : target.path + "/";
  std::vector<std::string> folders;
  JsonWriter files;
  files.BeginArray();
  bool found = prefix.empty();
  for (const CatalogFile& file : repository.files) {
    if (!file.path.starts_with(prefix)) continue;
    found = true;
    const size_t slash = file.path.find('/', prefix.size());
    for (size_t at = slash; at != std::string::npos; at = file.path.find('/', at + 1)) {
      if (at != slash && !target.recursive) break;
      const std::string folder = file.path.substr(0, at);
      if (std::find(folders.begin(), folders.end(), folder) != folders.end()) continue;
      folders.push_back(folder);
      files.BeginObject().Key("type").String("directory").Key("path").String(folder);
      files.Key("size").Int(0).Key("oid").String(repository.commit).EndObject();
    }
    if (slash != std::string::npos && !target.recursive) continue;
    files.BeginObject().Key("type").String("file").Key("path").String(file.path);
    WriteDigests(file, "oid", "oid", &files);
    files.EndObject();
  }
  if (!found) return std::nullopt;
  files.EndArray();
  return std::move(files).Take();
}

bool SameText(std::string_view a, std::string_view b) {
  unsigned difference = a.size() == b.size() ? 0 : 1;
  for (size_t i = 0; i < a.size() && i < b.size(); ++i) {
    difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
  }
  return difference == 0;
}

std::string_view View(beast::string_view text) { return {text.data(), text.size()}; }

// What is sent for a request: a text, or a head and a part of a file.
struct Answer {
  Reply head;
  os::File file;
  uint64_t offset = 0;
  uint64_t length = 0;
};

Answer TextAnswer(Reply reply) { return {std::move(reply), {}, 0, 0}; }

Answer FileAnswer(const Request& request, const CatalogRepository& repository, const CatalogFile& file) {
  const std::string etag = '"' + file.digest + '"';
  Reply head(http::status::ok, request.version());
  head.set(http::field::server, std::string("axon-mirror/") + kVersion);
  head.set(http::field::content_type, "application/octet-stream");
  head.set(http::field::accept_ranges, "bytes");
  head.set(http::field::etag, etag);
  head.set("X-Repo-Commit", repository.commit);
  if (file.is_lfs) {
    head.set("X-Linked-ETag", etag);
    head.set("X-Linked-Size", std::to_string(file.size_bytes));
  }
  head.keep_alive(request.keep_alive());
  if (View(request[http::field::if_none_match]) == etag) {
    head.result(http::status::not_modified);
    return TextAnswer(std::move(head));
  }
  Answer answer{{}, {}, 0, file.size_bytes};
  const auto if_range = View(request[http::field::if_range]);
  if (if_range.empty() || if_range == etag) {
    const auto range = ParseRangeHeader(View(request[http::field::range]), file.size_bytes);
    if (!range.ok()) {
      Reply refusal = Refuse(request, http::status::range_not_satisfiable, "", range.status().message());
      refusal.set(http::field::content_range, "bytes */" + std::to_string(file.size_bytes));
      return TextAnswer(std::move(refusal));
    }
    if (range->has_value()) {
      answer.offset = (*range)->begin;
      answer.length = (*range)->length;
      head.result(http::status::partial_content);
      head.set(http::field::content_range, "bytes " + std::to_string(answer.offset) + "-" +
                                               std::to_string(answer.offset + answer.length - 1) + "/" +
                                               std::to_string(file.size_bytes));
    }
  }
  head.content_length(answer.length);
  answer.head = std::move(head);
  if (request.method() == http::verb::head) return answer;
  auto opened = os::File::Open(file.source, os::File::Mode::kRead);
  if (!opened.ok())
    return TextAnswer(Refuse(request, http::status::internal_server_error, "", "the file cannot be read"));
  answer.file = *std::move(opened);
  return answer;
}

Answer Handle(const Shared& shared, const Request& request) {
  if (request.method() != http::verb::get && request.method() != http::verb::head) {
    Reply reply =
        Refuse(request, http::status::method_not_allowed, "", "this mirror only reads: GET and HEAD");
    reply.set(http::field::allow, "GET, HEAD");
    return TextAnswer(std::move(reply));
  }
  if (!shared.options.token.empty() &&
      !SameText(View(request[http::field::authorization]), "Bearer " + shared.options.token)) {
    Reply reply = Refuse(request, http::status::unauthorized, "", "this mirror wants an access token");
    reply.set(http::field::www_authenticate, "Bearer");
    return TextAnswer(std::move(reply));
  }
  const Result<MirrorTarget> target = ParseMirrorTarget(View(request.target()));
  if (!target.ok())
    return TextAnswer(Refuse(request, http::status::not_found, "", target.status().message()));
  if (target->kind == MirrorTarget::Kind::kList) {
    JsonWriter json;
    json.BeginArray();
    for (const std::string& id : shared.catalog.List()) {
      json.BeginObject().Key("id").String(id).Key("modelId").String(id).EndObject();
    }
    json.EndArray();
    return TextAnswer(MakeReply(request, http::status::ok, std::move(json).Take(), "application/json"));
  }
  const Result<CatalogRepository> repository = shared.catalog.Open(target->id, target->revision);
  if (!repository.ok()) {
    const Code code = repository.status().code();
    const bool missing = code == Code::kNotFound || code == Code::kFailedPrecondition;
    return TextAnswer(Refuse(request, missing ? http::status::not_found : http::status::internal_server_error,
                             code == Code::kNotFound ? "RepoNotFound"
                             : missing               ? "RevisionNotFound"
                                                     : "",
                             repository.status().message()));
  }
  std::optional<std::string> json;
  if (target->kind == MirrorTarget::Kind::kInfo) json = InfoJson(*repository, target->blobs);
  if (target->kind == MirrorTarget::Kind::kTree) json = TreeJson(*repository, *target);
  if (json) return TextAnswer(MakeReply(request, http::status::ok, *std::move(json), "application/json"));
  const CatalogFile* file = repository->Find(target->path);
  if (target->kind == MirrorTarget::Kind::kResolve && file != nullptr)
    return FileAnswer(request, *repository, *file);
  Reply reply = Refuse(request, http::status::not_found, "EntryNotFound",
                       "'" + target->id + "' has no '" + target->path + "' on this mirror");
  reply.set("X-Repo-Commit", repository->commit);
  return TextAnswer(std::move(reply));
}

asio::awaitable<bool> SendBody(tcp::socket* socket, const Answer& answer, uint64_t throttle_bytes_per_s) {
  uint64_t offset = answer.offset;
  uint64_t left = answer.length;
  asio::steady_timer pause(co_await asio::this_coro::executor);
  asio::steady_timer stall(co_await asio::this_coro::executor);
  const size_t step = throttle_bytes_per_s == 0
                          ? kSendBytes
                          : static_cast<size_t>(std::max<uint64_t>(throttle_bytes_per_s / 20, 1));
  socket->native_non_blocking(true);
  while (left > 0) {
    const Result<size_t> sent = os::SendFile(socket->native_handle(), answer.file, offset,
                                             static_cast<size_t>(std::min<uint64_t>(left, step)));
    if (!sent.ok()) co_return false;
    offset += *sent;
    left -= *sent;
    if (*sent == 0) {
      // The peer's window is full; one that never opens is cut off.
      stall.expires_after(kStall);
      stall.async_wait([socket](beast::error_code error) {
        if (!error) socket->cancel(error);
      });
      co_await socket->async_wait(tcp::socket::wait_write, asio::use_awaitable);
      stall.cancel();
    } else if (throttle_bytes_per_s != 0) {
      pause.expires_after(std::chrono::milliseconds(50));
      co_await pause.async_wait(asio::use_awaitable);
    }
  }
  co_return true;
}

asio::awaitable<void> Serve(std::shared_ptr<const Shared> shared, beast::tcp_stream stream) {
  try {
    beast::flat_buffer buffer;
    for (;;) {
      http::request_parser<http::empty_body> parser;
      parser.header_limit(kMaxHeaderBytes);
      stream.expires_after(kIdle);
      co_await http::async_read(stream, buffer, parser, asio::use_awaitable);
      const Request request = parser.release();
      Answer answer = Handle(*shared, request);
      const bool has_file = answer.file.is_open();
      stream.expires_after(kIdle);
      if (has_file || request.method() == http::verb::head) {
        http::response_serializer<http::string_body> serializer(answer.head);
        serializer.split(true);
        co_await http::async_write_header(stream, serializer, asio::use_awaitable);
      } else {
        co_await http::async_write(stream, answer.head, asio::use_awaitable);
      }
      stream.expires_never();
      if (has_file && !co_await SendBody(&stream.socket(), answer, shared->options.throttle_bytes_per_s))
        break;
      if (!answer.head.keep_alive()) break;
    }
  } catch (const std::exception&) {
    // The peer went away, stalled, or spoke something else than HTTP: the connection ends.
  }
  beast::error_code ignored;
  stream.socket().shutdown(tcp::socket::shutdown_both, ignored);
}

class MirrorServer final : public Mirror {
 public:
  MirrorServer(std::shared_ptr<const Shared> shared, tcp::endpoint address)
      : shared_(std::move(shared)), io_(shared_->options.threads), acceptor_(io_, address) {}

  ~MirrorServer() override {
    io_.stop();
    for (std::thread& thread : threads_) thread.join();
  }

  void Run() {
    asio::co_spawn(io_, Accept(), asio::detached);
    for (int i = 0; i < shared_->options.threads; ++i) threads_.emplace_back([this] { io_.run(); });
  }

  uint16_t port() const override { return acceptor_.local_endpoint().port(); }
  std::string url() const override {
    const auto address = acceptor_.local_endpoint().address();
    const std::string host = address.is_unspecified() ? (address.is_v6() ? "[::1]" : "127.0.0.1")
                             : address.is_v6()        ? "[" + address.to_string() + "]"
                                                      : address.to_string();
    return "http://" + host + ":" + std::to_string(port());
  }

 private:
  asio::awaitable<void> Accept() {
    for (;;) {
      auto executor = asio::make_strand(io_);
      beast::error_code error;
      tcp::socket socket(executor);
      co_await acceptor_.async_accept(socket, asio::redirect_error(asio::use_awaitable, error));
      if (error) {
        // Out of descriptors: wait for a connection to end rather than spin.
        asio::steady_timer pause(io_, std::chrono::milliseconds(100));
        co_await pause.async_wait(asio::use_awaitable);
        continue;
      }
      socket.set_option(tcp::no_delay(true), error);
      asio::co_spawn(executor, Serve(shared_, beast::tcp_stream(std::move(socket))), asio::detached);
    }
  }

  const std::shared_ptr<const Shared> shared_;
  asio::io_context io_;
  tcp::acceptor acceptor_;
  std::vector<std::thread> threads_;
};

}  // namespace

Result<std::unique_ptr<Mirror>> Mirror::Start(const MirrorOptions& options) {
  std::error_code error;
  if (!std::filesystem::is_directory(options.root, error)) {
    return InvalidArgument("no folder " + options.root.string());
  }
  beast::error_code bad_address;
  const std::string host = options.host == "localhost" ? "127.0.0.1" : options.host;
  const asio::ip::address address = asio::ip::make_address(host, bad_address);
  if (bad_address) return InvalidArgument("'" + options.host + "' is not an IP address of this machine");
  try {
    auto server = std::make_unique<MirrorServer>(std::make_shared<const Shared>(options),
                                                 tcp::endpoint(address, options.port));
    server->Run();
    return std::unique_ptr<Mirror>(std::move(server));
  } catch (const std::exception& e) {
    return FailedPrecondition("cannot listen on " + options.host + " port " + std::to_string(options.port) +
                              ": " + e.what());
  }
}

}  // namespace mlos::hub
