// SPDX-License-Identifier: Apache-2.0
#include "os/terminal.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

namespace mlos::os {

bool IsTerminal(StandardStream stream) { return ::isatty(static_cast<int>(stream)) == 1; }

int TerminalColumns(StandardStream stream) {
  winsize size = {};
  if (::ioctl(static_cast<int>(stream), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

struct KeyReader::Saved {
  termios settings;
};

KeyReader::KeyReader() {
  termios settings = {};
  if (::tcgetattr(STDIN_FILENO, &settings) != 0) return;
  saved_ = std::make_unique<Saved>(Saved{settings});
  settings.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  ::tcsetattr(STDIN_FILENO, TCSANOW, &settings);
}

KeyReader::~KeyReader() {
  if (saved_ != nullptr) ::tcsetattr(STDIN_FILENO, TCSANOW, &saved_->settings);
}

char KeyReader::Wait(int timeout_ms) const {
  pollfd fd = {STDIN_FILENO, POLLIN, 0};
  char key = 0;
  // Negative descriptors are skipped: then this only waits.
  if (saved_ == nullptr) fd.fd = -1;
  if (::poll(&fd, 1, timeout_ms) <= 0 || ::read(STDIN_FILENO, &key, 1) != 1) return 0;
  return key;
}

}  // namespace mlos::os
