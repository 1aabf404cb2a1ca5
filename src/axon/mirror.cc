// SPDX-License-Identifier: Apache-2.0
// axon mirror: a folder of models as a hub for others.
#include "hub/mirror.h"

#include <memory>

#include "axon/verbs.h"
#include "os/file.h"
#include "os/interrupt.h"
#include "os/process.h"
#include "os/xdg.h"

namespace mlos::axon {
namespace {

constexpr uint16_t kDefaultPort = 8090;

struct Options {
  hub::MirrorOptions mirror;
  std::string root;
  std::string port_file;
};

int Serve(Context& context, Options options) {
  options.mirror.root = options.root;
  if (options.mirror.token.empty()) options.mirror.token = os::GetEnv("AXON_MIRROR_TOKEN").value_or("");
  if (const auto directories = os::ResolveDirectories(); directories.ok()) {
    options.mirror.cache_dir = directories->cache / "mirror";
  }
  options.mirror.threads = std::max(4, 2 * os::AvailableCpus());
  const Result<std::unique_ptr<hub::Mirror>> mirror = hub::Mirror::Start(options.mirror);
  if (mirror.status().code() == Code::kInvalidArgument) return context.FailUsage(mirror.status().message());
  if (!mirror.ok()) return context.Fail(mirror.status());
  if (!options.port_file.empty()) {
    const Status written =
        os::WriteFileAtomically(options.port_file, std::to_string((*mirror)->port()) + "\n");
    if (!written.ok()) return context.Fail(written);
  }
  context.Note("serving " + options.root + " at " + (*mirror)->url() +
               "; to install from it:\n  export HF_ENDPOINT=" + (*mirror)->url() +
               "\n  axon install hf/NAME");
  os::WaitForInterrupt();
  return kExitOk;
}

}  // namespace

void AddMirror(CLI::App& app, Context& context, int* exit_status) {
  CLI::App* verb =
      app.add_subcommand("mirror", "Serve a folder of models as a hub (Hugging Face's HTTP API)");
  auto options = std::make_shared<Options>();
  options->mirror.port = kDefaultPort;
  verb->add_option("DIR", options->root,
                   "holds ORG/NAME/files... and NAME/files...; NAME@REVISION for another revision")
      ->required();
  verb->add_option("--port", options->mirror.port, "0: any free one")->capture_default_str();
  verb->add_option("--host", options->mirror.host, "address to listen on; 0.0.0.0: reachable from outside")
      ->capture_default_str();
  verb->add_option("--port-file", options->port_file, "write the port into this file once it is open");
  verb->add_option("--token", options->mirror.token,
                   "access token every request must bring (or AXON_MIRROR_TOKEN)");
  verb->add_option("--throttle", options->mirror.throttle_bytes_per_s,
                   "bytes per second for each connection");
  verb->callback([&context, options, exit_status] { *exit_status = Serve(context, *options); });
}

}  // namespace mlos::axon
