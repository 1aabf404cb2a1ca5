// SPDX-License-Identifier: Apache-2.0
#include "daemon/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "os/xdg.h"

namespace mlos::daemon {

Status StartLog(const Config& config) {
  try {
    auto logger = config.log_file.empty() ? spdlog::stderr_logger_mt("mlos-core")
                                          : spdlog::basic_logger_mt("mlos-core", config.log_file.string());
    logger->set_level(spdlog::level::from_str(config.log_level));
    // systemd stamps the time itself.
    logger->set_pattern(os::GetEnv("JOURNAL_STREAM") ? "%l %v" : "%Y-%m-%dT%H:%M:%S.%e%z %l %v");
    logger->flush_on(spdlog::level::info);
    spdlog::set_default_logger(std::move(logger));
    return OkStatus();
  } catch (const spdlog::spdlog_ex& e) {
    return PermissionDenied(std::string("cannot start the log: ") + e.what());
  }
}

}  // namespace mlos::daemon
