// SPDX-License-Identifier: Apache-2.0
// Numbers and tables for people.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mlos::axon {

std::string Seconds(double seconds);                        // "0.4 s", "12 s", "3 min 20 s", "2 h 5 min"
std::string Plural(uint64_t count, std::string_view noun);  // "1 file", "3 files"
std::string ShortCommit(const std::string& revision);       // 12 hex digits of a commit or of a "sha256-..."

// Columns as wide as their widest cell, two spaces between; the last one is not padded. The first row is the heading.
std::string Table(const std::vector<std::vector<std::string>>& rows);

// Text from outside without control characters, so that it cannot move a terminal's cursor.
std::string Plain(std::string_view text);

// "'...'" for a POSIX shell.
std::string ShellQuote(std::string_view text);

}  // namespace mlos::axon
