// SPDX-License-Identifier: Apache-2.0
#include "frontend/http/metrics.h"

#include <prometheus/text_serializer.h>

#include <sstream>

namespace mlos::frontend {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

double Seconds(int64_t ns) { return static_cast<double>(ns) / 1e9; }

MetricFamily Single(std::string name, std::string help, MetricType type, double value) {
  MetricFamily family{std::move(name), std::move(help), type, {}};
  ClientMetric metric;
  (type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
  family.metric.push_back(std::move(metric));
  return family;
}

// What waits, runs, was refused, and how long answers took lately.
void AppendActivity(const std::vector<serving::ModelStatus>& models, std::vector<MetricFamily>* out) {
  MetricFamily latency{"mlos_model_latency_seconds",
                       "Admission to answer, quantiles of the last answers of a model",
                       MetricType::Gauge,
                       {}};
  MetricFamily queued{"mlos_model_requests_queued", "Requests of a model that wait", MetricType::Gauge, {}};
  MetricFamily running{"mlos_model_requests_running", "Requests of a model under way", MetricType::Gauge, {}};
  MetricFamily refused{"mlos_model_requests_refused_total",
                       "Requests of a model that were not run, by reason",
                       MetricType::Counter,
                       {}};
  MetricFamily executions{"mlos_model_executions_total",
                          "Runs of the engine; fewer than requests when batched",
                          MetricType::Counter,
                          {}};
  MetricFamily error{"mlos_model_prediction_error_ratio",
                     "Median of |predicted - true| / true of the last executions of a model",
                     MetricType::Gauge,
                     {}};
  for (const serving::ModelStatus& model : models) {
    const auto add = [&](MetricFamily* family, double value, const char* name = nullptr,
                         std::string_view label = {}) {
      ClientMetric metric;
      metric.label = {{"model", model.id}};
      if (name != nullptr) metric.label.push_back({name, std::string(label)});
      (family->type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
      family->metric.push_back(std::move(metric));
    };
    const serving::ModelActivity& a = model.activity;
    add(&latency, Seconds(a.p50_ns), "quantile", "0.5");
    add(&latency, Seconds(a.p90_ns), "quantile", "0.9");
    add(&latency, Seconds(a.p99_ns), "quantile", "0.99");
    add(&queued, static_cast<double>(a.queued));
    add(&running, static_cast<double>(a.running));
    for (size_t i = 0; i < serving::kRefusals; ++i) {
      add(&refused, static_cast<double>(a.refused[i]), "reason",
          serving::RefusalName(static_cast<serving::Refusal>(i)));
    }
    add(&executions, static_cast<double>(a.executions));
    if (a.predicts) add(&error, a.prediction_error);
  }
  for (MetricFamily* family : {&latency, &queued, &running, &refused, &executions, &error}) {
    if (!family->metric.empty()) out->push_back(std::move(*family));
  }
}

void AppendModels(const std::vector<serving::ModelStatus>& models, std::vector<MetricFamily>* out) {
  MetricFamily requests{
      "mlos_model_requests_total", "Answered inferences of a model", MetricType::Counter, {}};
  MetricFamily ready{"mlos_model_ready", "1 when the model is loaded and answers", MetricType::Gauge, {}};
  MetricFamily load{
      "mlos_model_load_seconds", "How long the last load of the model took", MetricType::Gauge, {}};
  for (const serving::ModelStatus& model : models) {
    const auto add = [&](MetricFamily* family, double value, const char* outcome) {
      ClientMetric metric;
      metric.label = {{"model", model.id}};
      if (outcome != nullptr) metric.label.push_back({"outcome", outcome});
      (family->type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
      family->metric.push_back(std::move(metric));
    };
    add(&requests, static_cast<double>(model.requests_ok), "ok");
    add(&requests, static_cast<double>(model.requests_failed), "failed");
    add(&ready, model.state == serving::ModelState::kReady ? 1 : 0, nullptr);
    add(&load, Seconds(model.load_ns), nullptr);
  }
  for (MetricFamily* family : {&requests, &ready, &load}) {
    if (!family->metric.empty()) out->push_back(std::move(*family));
  }
}

void AppendMemory(serving::Service& service, std::vector<MetricFamily>* out) {
  const serving::MemoryStatus m = service.Memory();
  const auto gauge = [&](const char* name, const char* help, uint64_t value) {
    out->push_back(Single(name, help, MetricType::Gauge, static_cast<double>(value)));
  };
  const auto counter = [&](const char* name, const char* help, double value) {
    out->push_back(Single(name, help, MetricType::Counter, value));
  };
  gauge("mlos_memory_budget_bytes", "Memory that models may take", m.budget_bytes);
  gauge("mlos_memory_leased_bytes", "Memory promised to models; a mapped file counts once", m.leased_bytes);
  gauge("mlos_memory_shared_bytes", "Of the leased memory, mapped files", m.shared_bytes);
  gauge("mlos_memory_reserved_bytes", "Of the leased memory, for models that are still loading",
        m.reserved_bytes);
  gauge("mlos_memory_waiting", "Loads that wait for memory", m.waiting.size());
  counter("mlos_memory_waits_total", "Loads that did not get their memory at once",
          static_cast<double>(m.waits));
  counter("mlos_memory_wait_seconds_total", "How long those that got it waited, together",
          Seconds(m.wait_ns));
  counter("mlos_memory_refused_total", "Loads that were refused memory", static_cast<double>(m.refused));
  counter("mlos_memory_corrections_total", "Models that took more than estimated",
          static_cast<double>(m.corrections));
  MetricFamily evictions{"mlos_model_unloads_total", "Models unloaded, by reason", MetricType::Counter, {}};
  for (const auto& [reason, count] : m.evictions) {
    ClientMetric metric;
    metric.label = {{"reason", std::string(reason)}};
    metric.counter.value = static_cast<double>(count);
    evictions.metric.push_back(std::move(metric));
  }
  if (!evictions.metric.empty()) out->push_back(std::move(evictions));
}

}  // namespace

HttpMetrics::HttpMetrics() {
  requests_ = &prometheus::BuildCounter()
                   .Name("mlos_http_requests_total")
                   .Help("Answered HTTP requests")
                   .Register(registry_);
  auto& durations = prometheus::BuildHistogram()
                        .Name("mlos_http_request_duration_seconds")
                        .Help("From the request's head to its answer handed to the socket")
                        .Register(registry_);
  const prometheus::Histogram::BucketBoundaries buckets = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005,
                                                           0.01,   0.025,   0.05,   0.1,   0.25,   0.5,
                                                           1,      2.5,     5,      10,    30,     120};
  for (size_t i = 0; i < duration_.size(); ++i) {
    duration_[i] = &durations.Add({{"route", std::string(RouteName(static_cast<Route>(i)))}}, buckets);
  }
  bytes_in_ = &prometheus::BuildCounter()
                   .Name("mlos_http_request_bytes_total")
                   .Help("Bytes of request bodies")
                   .Register(registry_)
                   .Add({});
  bytes_out_ = &prometheus::BuildCounter()
                    .Name("mlos_http_response_bytes_total")
                    .Help("Bytes of response bodies")
                    .Register(registry_)
                    .Add({});
  in_flight_ = &prometheus::BuildGauge()
                    .Name("mlos_http_requests_in_flight")
                    .Help("Requests whose body is complete and whose answer is not")
                    .Register(registry_)
                    .Add({});
  connections_ = &prometheus::BuildGauge()
                      .Name("mlos_http_connections")
                      .Help("Open connections")
                      .Register(registry_)
                      .Add({});
}

void HttpMetrics::RecordRequest(Route route, int status, int64_t duration_ns, uint64_t bytes_in,
                                uint64_t bytes_out) {
  const auto row = static_cast<size_t>(route);
  auto& slot = counters_[row][static_cast<size_t>(status) % kStatuses];
  prometheus::Counter* counter = slot.load(std::memory_order_acquire);
  if (counter == nullptr) {
    counter = &requests_->Add({{"route", std::string(RouteName(route))}, {"status", std::to_string(status)}});
    slot.store(counter, std::memory_order_release);
  }
  counter->Increment();
  duration_[row]->Observe(Seconds(duration_ns));
  if (bytes_in > 0) bytes_in_->Increment(static_cast<double>(bytes_in));
  if (bytes_out > 0) bytes_out_->Increment(static_cast<double>(bytes_out));
}

std::string HttpMetrics::Render(serving::Service& service) const {
  std::vector<MetricFamily> families = registry_.Collect();
  const serving::ServerStats stats = service.Stats();
  families.push_back(Single("mlos_requests_queued", "Inferences admitted and not started", MetricType::Gauge,
                            static_cast<double>(stats.queued)));
  families.push_back(Single("mlos_requests_running", "Inferences being executed", MetricType::Gauge,
                            static_cast<double>(stats.running)));
  families.push_back(Single("mlos_request_latency_seconds_total",
                            "Time from admission to answer, all inferences together", MetricType::Counter,
                            Seconds(stats.latency_sum_ns)));
  families.push_back(Single("mlos_uptime_seconds", "Since the service started", MetricType::Gauge,
                            Seconds(stats.uptime_ns)));
  families.push_back(
      Single("mlos_ready", "1 while requests are accepted", MetricType::Gauge, service.Ready() ? 1 : 0));
  const std::vector<serving::ModelStatus> models = service.ListModels();
  AppendModels(models, &families);
  AppendActivity(models, &families);
  AppendMemory(service, &families);
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, families);
  return std::move(out).str();
}

}  // namespace mlos::frontend
