// SPDX-License-Identifier: Apache-2.0
// What host and worker say to each other over the control socket. docs/formats/worker.md, "Messages". A message is a header
// and the packed fields of its struct, in order; longer ones come as several packets, all but the last with kMoreFollows.
//
//   worker                     host
//   Hello            ->
//                    <-        Welcome   (control memory, input arena, output arena)
//                    <-        Open      which plugin and model; the worker gives up its rights, then loads the library
//   Opened | Error   ->
//                    <-        Estimate
//   Estimated | Error->
//                    <-        Load
//   Loaded | Error   ->                  from here on requests come through the control memory
//   Text, Complete   ->
//                    <-        Cancel
//                    <-        Unload    then the worker exits with 0
//   Log              ->                  at any time
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "infer/model_interface.h"
#include "worker/link/bytes.h"

namespace mlos::worker {

enum class MessageType : uint32_t {
  // Host to worker.
  kWelcome = 1,
  kOpen = 2,
  kEstimate = 3,
  kLoad = 4,
  kCancel = 5,
  kUnload = 6,
  // Worker to host.
  kHello = 64,
  kOpened = 65,
  kEstimated = 66,
  kLoaded = 67,
  kText = 68,
  kComplete = 69,
  kLog = 70,
  kError = 71,
};

struct MessageHeader {
  MessageType type{};
  uint32_t flags = 0;  // kMoreFollows
  uint64_t id = 0;     // Text, Complete, Cancel: the call; else 0
};
static_assert(sizeof(MessageHeader) == 16);
inline constexpr uint32_t kMoreFollows = 1;
// Of a message put together from packets.
inline constexpr size_t kMaxMessageBytes = 16 << 20;

using Options = std::vector<std::pair<std::string, std::string>>;

// Each has Encode and Decode; Decode answers kInvalidArgument when the fields are not exactly the payload.
struct Hello {
  static constexpr MessageType kType = MessageType::kHello;
  uint64_t magic = 0;  // kControlMagic
  uint32_t min_version = 0;
  uint32_t max_version = 0;
  std::string software;  // "mlos-worker 0.1.0"
};

struct Welcome {
  static constexpr MessageType kType = MessageType::kWelcome;
  uint32_t version = 0;       // the one to speak; the three files come with this message
  uint32_t heartbeat_ms = 0;  // the worker raises the heartbeat at least this often
  uint32_t max_threads = 0;   // most requests at the same time
  uint32_t spin_us = 0;       // how long a thread may look for a request before it sleeps; 0 = not at all
  uint64_t control_bytes = 0;
  uint64_t input_bytes = 0;
  uint64_t output_bytes = 0;
};

struct Open {
  static constexpr MessageType kType = MessageType::kOpen;
  std::string plugin_path;
  Options plugin_options;
  // The sandbox. Modes: 0 off, 1 on, 2 required.
  uint32_t sandbox_mode = 0;
  uint64_t private_bytes = 0;  // 0 = no limit
  std::vector<std::string> library_paths;
  std::vector<std::string> read_paths;
  std::vector<std::string> write_paths;
  std::vector<std::string> device_paths;
  std::vector<std::string> sandbox_off;  // mechanisms not to use
};

struct Opened {
  static constexpr MessageType kType = MessageType::kOpened;
  std::string id;
  std::string version;
  std::string engine_version;
  std::vector<std::string> formats;
  std::vector<std::string> frameworks;
  std::vector<std::string> capabilities;
  std::string sandbox;  // what is in force, as os::SandboxReport writes it
};

// Also the payload of Estimate.
struct Load {
  static constexpr MessageType kType = MessageType::kLoad;
  std::string package_dir;
  std::string model_path;
  std::string format;
  uint32_t n_threads = 0;
  uint32_t context_length = 0;
  uint32_t max_sequences = 0;
  Options options;
};

struct Estimated {
  static constexpr MessageType kType = MessageType::kEstimated;
  uint64_t private_bytes = 0;
  uint64_t mapped_bytes = 0;
  uint64_t device_bytes = 0;
  uint64_t per_call_bytes = 0;
};

struct Loaded {
  static constexpr MessageType kType = MessageType::kLoaded;
  ModelInterface interface;
};

struct ErrorReply {
  static constexpr MessageType kType = MessageType::kError;
  Status status;  // not OK
};

struct LogLine {
  static constexpr MessageType kType = MessageType::kLog;
  uint32_t level = 0;  // 0 debug, 1 info, 2 warning, 3 error
  std::string text;
};

// Text (payload: the piece), Complete (payload: nothing), Cancel and Unload (likewise) are headers with bytes.

void Encode(const Hello& message, ByteWriter* out);
void Encode(const Welcome& message, ByteWriter* out);
void Encode(const Open& message, ByteWriter* out);
void Encode(const Opened& message, ByteWriter* out);
void Encode(const Load& message, ByteWriter* out);
void Encode(const Estimated& message, ByteWriter* out);
void Encode(const Loaded& message, ByteWriter* out);
void Encode(const ErrorReply& message, ByteWriter* out);
void Encode(const LogLine& message, ByteWriter* out);

Status Decode(std::span<const std::byte> payload, Hello* out);
Status Decode(std::span<const std::byte> payload, Welcome* out);
Status Decode(std::span<const std::byte> payload, Open* out);
Status Decode(std::span<const std::byte> payload, Opened* out);
Status Decode(std::span<const std::byte> payload, Load* out);
Status Decode(std::span<const std::byte> payload, Estimated* out);
Status Decode(std::span<const std::byte> payload, Loaded* out);
Status Decode(std::span<const std::byte> payload, ErrorReply* out);
Status Decode(std::span<const std::byte> payload, LogLine* out);

template <typename T>
std::vector<std::byte> Pack(const T& message) {
  ByteWriter measure({});
  Encode(message, &measure);
  std::vector<std::byte> out(measure.size());
  ByteWriter writer(out);
  Encode(message, &writer);
  return out;
}

}  // namespace mlos::worker
