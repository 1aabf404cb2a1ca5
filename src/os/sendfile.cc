// SPDX-License-Identifier: Apache-2.0
#include "os/sendfile.h"

#include <errno.h>
#include <sys/sendfile.h>

#include "os/errors.h"

namespace mlos::os {

Result<size_t> SendFile(int socket, const File& file, uint64_t offset, size_t bytes) {
  auto position = static_cast<off_t>(offset);
  for (;;) {
    const ssize_t sent = ::sendfile(socket, file.fd(), &position, bytes);
    if (sent > 0) return static_cast<size_t>(sent);
    if (sent == 0)
      return bytes == 0 ? Result<size_t>(size_t{0})
                        : DataLoss("'" + file.path().string() + "' was cut while it was sent");
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return size_t{0};
    return ErrnoStatus(errno, "send", file.path());
  }
}

}  // namespace mlos::os
