// SPDX-License-Identifier: Apache-2.0
// A model's name with the backend: what executions and arenas are listed under.
#pragma once

#include <memory>
#include <string>

#include "resources/backend.h"

namespace mlos::plugin {

// Registered for as long as it lives. Thread-safe.
class BackendModel {
 public:
  // `backend` outlives it.
  static Result<std::shared_ptr<const BackendModel>> Register(resources::Backend& backend,
                                                              const std::string& name) {
    MLOS_ASSIGN_OR_RETURN(const uint64_t id, backend.RegisterModel(name));
    return std::shared_ptr<const BackendModel>(new BackendModel(backend, id));
  }
  // The kernel forgets what it holds with the daemon at the latest.
  ~BackendModel() { (void)backend_.UnregisterModel(id_); }
  BackendModel(const BackendModel&) = delete;
  BackendModel& operator=(const BackendModel&) = delete;

  resources::Backend& backend() const { return backend_; }
  uint64_t id() const { return id_; }

 private:
  BackendModel(resources::Backend& backend, uint64_t id) : backend_(backend), id_(id) {}

  resources::Backend& backend_;
  const uint64_t id_;
};

}  // namespace mlos::plugin
