// SPDX-License-Identifier: Apache-2.0
#include "wire/json_keep_alive.h"

#include "infer/keep_alive.h"

namespace mlos::wire {

Result<int64_t> ReadKeepAlive(JsonCursor& cursor, const std::string& key) {
  const char next = cursor.Peek();
  std::string text;
  if (next == '"') {
    MLOS_RETURN_IF_ERROR(cursor.ReadString(&text));
  } else if (next == '-' || (next >= '0' && next <= '9')) {
    std::string_view number;
    MLOS_RETURN_IF_ERROR(cursor.ReadNumberText(&number));
    text = number;
  } else {
    return InvalidArgument("'" + key + "': wanted seconds or a text such as \"5m\", got " +
                           cursor.DescribeNext());
  }
  Result<int64_t> value = ParseKeepAlive(text);
  if (!value.ok()) return value.status().WithContext("'" + key + "'");
  return value;
}

}  // namespace mlos::wire
