// SPDX-License-Identifier: Apache-2.0
// Status and Result: how every fallible function of mlOS answers. No exception crosses a folder's API.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace mlos {

// Each code tells the caller's next move.
enum class Code {
  kOk = 0,
  kInvalidArgument,     // the call is malformed: fix the call (HTTP 400)
  kUnprocessable,       // well-formed, but does not fit the model's declared inputs: fix the input (422)
  kNotFound,            // (404)
  kAlreadyExists,       // (409)
  kFailedPrecondition,  // wrong state for this call: change the state first (409)
  kUnauthenticated,     // (401)
  kPermissionDenied,    // (403)
  kTooLarge,            // over a stated limit: send less (413)
  kResourceExhausted,   // quota or rate: slow down, then retry (429)
  kUnavailable,         // busy, full or restarting: retry later (503)
  kDeadlineExceeded,    // (504)
  kCancelled,           // the caller gave up (499)
  kUnimplemented,       // this build or model cannot do it: unsupported (501)
  kDataLoss,            // bytes on disk or from a peer are corrupt: reinstall (500)
  kInternal,            // our bug (500)
};

// Lower-case name as used in JSON bodies and logs, for example "invalid_argument".
std::string_view CodeName(Code code);

class [[nodiscard]] Status {
 public:
  Status() = default;  // OK
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }
  // "not_found: model 'x' ..."; "ok" when ok.
  std::string ToString() const;
  // The same code with "context: " put before the message; OK stays OK.
  Status WithContext(std::string_view context) const;

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

inline Status OkStatus() { return Status(); }
inline Status InvalidArgument(std::string m) { return Status(Code::kInvalidArgument, std::move(m)); }
inline Status Unprocessable(std::string m) { return Status(Code::kUnprocessable, std::move(m)); }
inline Status NotFound(std::string m) { return Status(Code::kNotFound, std::move(m)); }
inline Status AlreadyExists(std::string m) { return Status(Code::kAlreadyExists, std::move(m)); }
inline Status FailedPrecondition(std::string m) { return Status(Code::kFailedPrecondition, std::move(m)); }
inline Status Unauthenticated(std::string m) { return Status(Code::kUnauthenticated, std::move(m)); }
inline Status PermissionDenied(std::string m) { return Status(Code::kPermissionDenied, std::move(m)); }
inline Status TooLarge(std::string m) { return Status(Code::kTooLarge, std::move(m)); }
inline Status ResourceExhausted(std::string m) { return Status(Code::kResourceExhausted, std::move(m)); }
inline Status Unavailable(std::string m) { return Status(Code::kUnavailable, std::move(m)); }
inline Status DeadlineExceeded(std::string m) { return Status(Code::kDeadlineExceeded, std::move(m)); }
inline Status Cancelled(std::string m) { return Status(Code::kCancelled, std::move(m)); }
inline Status Unimplemented(std::string m) { return Status(Code::kUnimplemented, std::move(m)); }
inline Status DataLoss(std::string m) { return Status(Code::kDataLoss, std::move(m)); }
inline Status Internal(std::string m) { return Status(Code::kInternal, std::move(m)); }

// A T or the Status that says why there is none. Taking the value of a failed Result aborts the process.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}  // NOLINT(google-explicit-constructor)
  // `status` must not be OK.
  Result(Status status) : state_(std::move(status)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return std::holds_alternative<T>(state_); }
  Status status() const { return ok() ? OkStatus() : std::get<Status>(state_); }
  T& value() & { return std::get<T>(state_); }
  const T& value() const& { return std::get<T>(state_); }
  T&& value() && { return std::get<T>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T value_or(T fallback) const& { return ok() ? value() : std::move(fallback); }

 private:
  std::variant<T, Status> state_;
};

}  // namespace mlos

#define MLOS_CONCAT_INNER_(a, b) a##b
#define MLOS_CONCAT_(a, b) MLOS_CONCAT_INNER_(a, b)

// Returns the Status of `expr` from the enclosing function unless it is OK. May stand inside a lambda inside another's `expr`.
#define MLOS_RETURN_IF_ERROR(expr) MLOS_RETURN_IF_ERROR_(MLOS_CONCAT_(mlos_status_, __COUNTER__), expr)
#define MLOS_RETURN_IF_ERROR_(tmp, expr)          \
  do {                                            \
    if (::mlos::Status tmp = (expr); !tmp.ok()) { \
      return tmp;                                 \
    }                                             \
  } while (false)

// MLOS_ASSIGN_OR_RETURN(auto x, MakeX()): declares x, or returns the error.
#define MLOS_ASSIGN_OR_RETURN(lhs, expr) \
  MLOS_ASSIGN_OR_RETURN_(MLOS_CONCAT_(mlos_result_, __LINE__), lhs, expr)
#define MLOS_ASSIGN_OR_RETURN_(tmp, lhs, expr) \
  auto tmp = (expr);                           \
  if (!tmp.ok()) return tmp.status();          \
  lhs = std::move(tmp).value()
