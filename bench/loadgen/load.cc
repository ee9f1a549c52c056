// One thread, one completion queue, asynchronous generic stubs: requests and responses stay bytes.
#include "load.h"

#include <deque>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

namespace {

constexpr auto kConnectSeconds = std::chrono::seconds(10);

struct Payload {
  grpc::ByteBuffer buffer;
  size_t bytes;
};

struct Caller {
  std::unique_ptr<grpc::GenericStub> stub;
  bool sends_rubbish = false;
  // State of the call in flight; each call makes its own.
  std::optional<grpc::ClientContext> context;
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader;
  grpc::ByteBuffer response;
  grpc::Status status;
  Clock::time_point due, started;
  size_t request_bytes = 0;
};

Clock::duration Seconds(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

// grpc waits by the wall clock.
std::chrono::system_clock::time_point WallTime(Clock::time_point moment) {
  return std::chrono::system_clock::now() +
         std::chrono::duration_cast<std::chrono::system_clock::duration>(moment - Clock::now());
}

Payload FromText(const std::string& text) {
  const grpc::Slice slice(text);
  return {grpc::ByteBuffer(&slice, 1), text.size()};
}

Payload FromFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return FromText(std::string(std::istreambuf_iterator<char>(file), {}));
}

std::vector<std::shared_ptr<grpc::Channel>> Connect(const Options& options) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // channels to one target would share a connection
  arguments.SetMaxReceiveMessageSize(-1);
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (int i = 0; i < options.channels; ++i) {
    channels.push_back(grpc::CreateCustomChannel(options.target, grpc::InsecureChannelCredentials(), arguments));
    if (!channels.back()->WaitForConnected(std::chrono::system_clock::now() + kConnectSeconds)) {
      throw std::runtime_error("no server answers at " + options.target);
    }
  }
  return channels;
}

class Run {
 public:
  explicit Run(const Options& options)
      : options_(options), callers_(options.callers), channels_(Connect(options)) {
    for (const auto& path : options.payloads) payloads_.push_back(FromFile(path));
    if (payloads_.empty()) payloads_.push_back(FromText(""));
    if (!options.rubbish.empty()) rubbish_ = FromFile(options.rubbish);
    for (int i = 0; i < options.callers; ++i) {
      callers_[i].stub = std::make_unique<grpc::GenericStub>(channels_[i % options.channels]);
      callers_[i].sends_rubbish = rubbish_ && i % options.rubbish_every == options.rubbish_every - 1;
      idle_.push_back(&callers_[i]);
    }
  }

  Tallies operator()() {
    begin_ = Clock::now() + Seconds(options_.warm_up_seconds);
    end_ = options_.calls > 0 ? Clock::time_point::max() : begin_ + Seconds(options_.seconds);
    next_due_ = Clock::now();
    StartDue();
    while (idle_.size() < callers_.size() || !Over()) {
      // In an open loop a call may be due before any other ends.
      const bool waits = options_.rate > 0 && !idle_.empty() && !Over();
      void* tag = nullptr;
      bool ok = false;
      const auto wait = waits ? WallTime(next_due_) : std::chrono::system_clock::time_point::max();
      if (queue_.AsyncNext(&tag, &ok, wait) == grpc::CompletionQueue::GOT_EVENT) End(*static_cast<Caller*>(tag));
      StartDue();
    }
    const auto end = options_.calls > 0 ? Clock::now() : end_;
    tallies_.good.Window(begin_, end);
    tallies_.rubbish.Window(begin_, end);
    return std::move(tallies_);
  }

 private:
  bool Over() const {
    return options_.calls > 0 ? begun_ >= options_.calls : Clock::now() >= end_;
  }

  void StartDue() {
    while (!idle_.empty() && !Over()) {
      const auto now = Clock::now();
      if (options_.rate > 0) {
        if (next_due_ > now) return;
        Start(*idle_.front(), next_due_, now);
        next_due_ += Seconds(1 / options_.rate);
      } else {
        Start(*idle_.front(), now, now);
      }
      idle_.pop_front();
    }
  }

  void Start(Caller& caller, Clock::time_point due, Clock::time_point now) {
    const Payload& payload = caller.sends_rubbish ? *rubbish_ : payloads_[turn_++ % payloads_.size()];
    if (!caller.sends_rubbish && now >= begin_) ++begun_;
    caller.context.emplace();
    for (const auto& [key, value] : options_.metadata) caller.context->AddMetadata(key, value);
    if (options_.deadline_ms > 0) caller.context->set_deadline(WallTime(now + Seconds(options_.deadline_ms / 1e3)));
    caller.response.Clear();
    caller.due = due;
    caller.started = now;
    caller.request_bytes = payload.bytes;
    caller.reader = caller.stub->PrepareUnaryCall(&*caller.context, options_.method, payload.buffer, &queue_);
    caller.reader->StartCall();
    caller.reader->Finish(&caller.response, &caller.status, &caller);
  }

  void End(Caller& caller) {
    const auto now = Clock::now();
    Tally& tally = caller.sends_rubbish ? tallies_.rubbish : tallies_.good;
    // With --calls every call that began after the warm-up counts; by the clock, every one that ended in the window.
    const bool measured = options_.calls > 0 ? caller.started >= begin_ : now >= begin_ && now < end_;
    if (measured) {
      tally.Measured({caller.due, caller.started, now, caller.status, caller.request_bytes, caller.response.Length()});
    } else {
      tally.Outside(caller.status);
    }
    idle_.push_back(&caller);
  }

  const Options& options_;
  grpc::CompletionQueue queue_;
  std::vector<Payload> payloads_;
  std::optional<Payload> rubbish_;
  std::vector<Caller> callers_;
  std::deque<Caller*> idle_;
  std::vector<std::shared_ptr<grpc::Channel>> channels_;
  Tallies tallies_;
  Clock::time_point begin_, end_, next_due_;
  long begun_ = 0;   // good calls since the end of the warm-up
  size_t turn_ = 0;  // good calls since the start
};

}  // namespace

Tallies Load(const Options& options) { return Run(options)(); }
