// SPDX-License-Identifier: Apache-2.0
#include "os/replace_file.h"

#include <unistd.h>

#include <string>
#include <utility>

#include "os/directory.h"
#include "os/file.h"

namespace mlos::os {

Status ReplaceFile(const std::filesystem::path& path, std::string_view contents) {
  std::filesystem::path temporary = path;
  temporary += "." + std::to_string(::getpid()) + ".tmp";
  const auto write = [&]() -> Status {
    MLOS_ASSIGN_OR_RETURN(File file, File::Open(temporary, File::Mode::kCreate));
    MLOS_RETURN_IF_ERROR(file.WriteAt(0, contents));
    MLOS_RETURN_IF_ERROR(file.Close());
    return Rename(temporary, path);
  };
  Status status = write();
  if (!status.ok()) (void)RemoveFile(temporary);
  return status;
}

}  // namespace mlos::os
