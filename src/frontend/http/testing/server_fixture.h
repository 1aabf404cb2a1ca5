// SPDX-License-Identifier: Apache-2.0
// A server over a FakeService with the models that tests of the HTTP front end ask.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "frontend/http/server.h"
#include "frontend/http/testing/raw_client.h"
#include "serving/testing/fake_service.h"

namespace mlos::frontend {

// A flag that one thread waits for and another sets.
class Signal {
 public:
  void Set() {
    MutexLock lock(mu_);
    set_ = true;
    changed_.NotifyAll();
  }
  // False after 20 s.
  bool Wait() {
    MutexLock lock(mu_);
    for (int i = 0; i < 200 && !set_; ++i) changed_.WaitFor(mu_, std::chrono::milliseconds(100));
    return set_;
  }

 private:
  Mutex mu_;
  CondVar changed_;
  bool set_ MLOS_GUARDED_BY(mu_) = false;
};

class HttpServerTest : public ::testing::Test {
 protected:
  using Sink = std::shared_ptr<ResponseSink>;

  ~HttpServerTest() override {
    server_.reset();
    for (std::thread& thread : threads_) thread.join();
  }

  static ModelInterface Vector() {
    ModelInterface model;
    model.executes = true;
    model.inputs = {{.name = "x", .dtype = DType::kFp32, .shape = {-1, 2}, .dim_names = {"batch", ""}}};
    model.outputs = {{.name = "y", .dtype = DType::kFp32, .shape = {-1, 2}}};
    return model;
  }
  static ModelInterface Text() {
    ModelInterface model;
    model.generates = true;
    return model;
  }

  // Answers its input.
  static void Echo(Request request, const Sink& sink) {
    Response response;
    for (NamedTensor& input : request.inputs) response.outputs.push_back({"y", std::move(input.tensor)});
    sink->OnDone(OkStatus(), std::move(response));
  }

  void AddModels() {
    service_.AddModel("t/echo@1", Vector(), Echo);
    service_.AddModel("t/later@1", Vector(), [this](Request request, Sink sink) {
      auto shared = std::make_shared<Request>(std::move(request));
      MutexLock lock(mu_);
      threads_.emplace_back([shared, sink] { Echo(std::move(*shared), sink); });
    });
    for (const auto& [name, code] :
         std::vector<std::pair<std::string, Code>>{{"busy", Code::kResourceExhausted},
                                                   {"full", Code::kUnavailable},
                                                   {"late", Code::kDeadlineExceeded},
                                                   {"broken", Code::kInternal},
                                                   {"bad", Code::kUnprocessable}}) {
      service_.AddModel("t/" + name + "@1", Vector(),
                        [code](Request, const Sink& sink) { sink->OnDone(Status(code, "because"), {}); });
    }
  }

  void Start(HttpConfig config = {}) {
    AddModels();
    config.port = 0;
    config.version = "9.9";
    Result<std::unique_ptr<HttpServer>> server = HttpServer::Start(config, service_);
    ASSERT_TRUE(server.ok()) << server.status().ToString();
    server_ = std::move(server).value();
  }

  RawClient Connect() { return RawClient(server_->endpoints().front()); }

  static std::string Post(const std::string& path, const std::string& body, const std::string& fields = "") {
    return "POST " + path + " HTTP/1.1\r\nHost: t\r\n" + fields +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  static std::string Infer(const std::string& model, const std::string& body,
                           const std::string& fields = "") {
    return Post("/models/t%2F" + model + "%401/inference", body, fields);
  }
  static std::string Get(const std::string& path, const std::string& fields = "") {
    return "GET " + path + " HTTP/1.1\r\nHost: t\r\n" + fields + "\r\n";
  }

  serving::FakeService service_;
  std::unique_ptr<HttpServer> server_;
  Mutex mu_;
  std::vector<std::thread> threads_;
};

}  // namespace mlos::frontend
