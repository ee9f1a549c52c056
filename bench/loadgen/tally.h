// Counts the outcomes of calls: every call, whatever its status.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include <grpcpp/support/status.h>

using Clock = std::chrono::steady_clock;

// One call that has ended.
struct Outcome {
  Clock::time_point due;      // when it should begin; latency counts from here
  Clock::time_point started;  // when it began
  Clock::time_point ended;
  const grpc::Status& status;
  size_t request_bytes;
  size_t response_bytes;
};

class Tally {
 public:
  // Counts a call in the figures.
  void Measured(const Outcome& outcome);
  // Counts a call that ended outside the window, by its status only.
  void Outside(const grpc::Status& status);
  // Sets the measured window; `longest_gap` reaches from one answer to the next, and to both ends.
  void Window(Clock::time_point begin, Clock::time_point end);
  // One JSON object.
  std::string Json();

 private:
  std::map<int, long> codes_, outside_;
  std::map<int, std::string> examples_;  // the first message of each status
  std::vector<float> latencies_ms_, lags_ms_;
  std::vector<Clock::time_point> answered_;  // in order: one thread ends all calls
  size_t request_bytes_ = 0, response_bytes_ = 0;
  Clock::time_point begin_, end_;
};
