// Computes sums and percentiles, and writes them as JSON.
#include "tally.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace {

constexpr std::array kNames = {"OK",
                               "CANCELLED",
                               "UNKNOWN",
                               "INVALID_ARGUMENT",
                               "DEADLINE_EXCEEDED",
                               "NOT_FOUND",
                               "ALREADY_EXISTS",
                               "PERMISSION_DENIED",
                               "RESOURCE_EXHAUSTED",
                               "FAILED_PRECONDITION",
                               "ABORTED",
                               "OUT_OF_RANGE",
                               "UNIMPLEMENTED",
                               "INTERNAL",
                               "UNAVAILABLE",
                               "DATA_LOSS",
                               "UNAUTHENTICATED"};

float Milliseconds(Clock::duration duration) { return std::chrono::duration<float, std::milli>(duration).count(); }

// The nearest rank: the least value that `part` of all values do not exceed. The values must be sorted.
float Percentile(const std::vector<float>& sorted, double part) {
  if (sorted.empty()) return 0;
  const auto rank = static_cast<size_t>(std::ceil(part * static_cast<double>(sorted.size())));
  return sorted[std::clamp<size_t>(rank, 1, sorted.size()) - 1];
}

std::string Number(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

std::string Name(int code) {
  return code >= 0 && code < static_cast<int>(kNames.size()) ? kNames[code] : "CODE_" + std::to_string(code);
}

std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const unsigned char c : text.substr(0, 200)) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c >= 0x20 && c < 0x7f ? static_cast<char>(c) : '?';
  }
  return quoted + '"';
}

template <typename Value, typename Text>
std::string Object(const std::map<int, Value>& values, Text text) {
  std::string json = "{";
  for (const auto& [code, value] : values) {
    json += (json.size() > 1 ? ", \"" : "\"") + Name(code) + "\": " + text(value);
  }
  return json + "}";
}

}  // namespace

void Tally::Measured(const Outcome& outcome) {
  const int code = outcome.status.error_code();
  ++codes_[code];
  if (code != grpc::StatusCode::OK) {
    examples_.try_emplace(code, outcome.status.error_message());
    return;
  }
  latencies_ms_.push_back(Milliseconds(outcome.ended - outcome.due));
  lags_ms_.push_back(Milliseconds(outcome.started - outcome.due));
  answered_.push_back(outcome.ended);
  request_bytes_ += outcome.request_bytes;
  response_bytes_ += outcome.response_bytes;
}

void Tally::Outside(const grpc::Status& status) {
  ++outside_[status.error_code()];
  if (!status.ok()) examples_.try_emplace(status.error_code(), status.error_message());
}

void Tally::Window(Clock::time_point begin, Clock::time_point end) {
  begin_ = begin;
  end_ = end;
}

std::string Tally::Json() {
  std::sort(latencies_ms_.begin(), latencies_ms_.end());
  std::sort(lags_ms_.begin(), lags_ms_.end());
  Clock::time_point last = begin_;
  Clock::duration gap{0};
  for (const auto& moment : answered_) {
    gap = std::max(gap, moment - last);
    last = moment;
  }
  gap = std::max(gap, end_ - last);
  const double seconds = std::chrono::duration<double>(end_ - begin_).count();
  const auto count = [](long value) { return std::to_string(value); };
  return "{\"seconds\": " + Number(seconds) +
         ", \"calls_per_second\": " + Number(static_cast<double>(latencies_ms_.size()) / seconds) +
         ", \"p50_ms\": " + Number(Percentile(latencies_ms_, 0.5)) +
         ", \"p90_ms\": " + Number(Percentile(latencies_ms_, 0.9)) +
         ", \"p99_ms\": " + Number(Percentile(latencies_ms_, 0.99)) +
         ", \"p999_ms\": " + Number(Percentile(latencies_ms_, 0.999)) +
         ", \"max_ms\": " + Number(Percentile(latencies_ms_, 1.0)) +
         ", \"start_lag_p99_ms\": " + Number(Percentile(lags_ms_, 0.99)) +
         ", \"longest_gap_ms\": " + Number(Milliseconds(gap)) +
         ", \"request_mb_per_second\": " + Number(static_cast<double>(request_bytes_) / seconds / 1e6) +
         ", \"response_mb_per_second\": " + Number(static_cast<double>(response_bytes_) / seconds / 1e6) +
         ", \"codes\": " + Object(codes_, count) + ", \"codes_outside\": " + Object(outside_, count) +
         ", \"messages\": " + Object(examples_, Quoted) + "}";
}
