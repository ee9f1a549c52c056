// Reads the flags, --name value or --name=value, and checks them all before anything is sent.
#include "options.h"

#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <stdexcept>

namespace {

constexpr char kHelp[] = R"(loadgen --target HOST:PORT --method /package.Service/Method [flags]
Calls one unary gRPC method with serialised requests from files; prints one JSON object.

  --callers N          calls in flight at most (1)
  --channels N         connections that they share (1)
  --warm-up S          seconds that are not measured (0.5)
  --seconds S          seconds that are measured (3)
  --calls N            end after N measured calls instead
  --rate R             open loop: begin R calls a second; latency counts from the moment a call was due
  --deadline-ms MS     of each call
  --payload FILE       a serialised request; repeatable, sent in turn
  --rubbish FILE       what some callers send instead; counted apart
  --rubbish-every N    one caller in N (8)
  --metadata KEY=VALUE with every call; repeatable
)";

[[noreturn]] void Refuse(const std::string& problem) {
  std::cerr << "loadgen: " << problem << "\n";
  std::exit(2);
}

double Number(const std::string& flag, const std::string& text, double least) {
  size_t used = 0;
  double value = 0;
  try {
    value = std::stod(text, &used);
  } catch (const std::exception&) {
  }
  if (used == 0 || used != text.size() || !(value >= least && value <= 1e9)) {
    Refuse(flag + " must be a number of at least " + std::to_string(least) + ", got '" + text + "'");
  }
  return value;
}

std::pair<std::string, std::string> Pair(const std::string& text) {
  const size_t split = text.find('=');
  if (split == std::string::npos || split == 0) Refuse("--metadata must be KEY=VALUE, got '" + text + "'");
  return {text.substr(0, split), text.substr(split + 1)};
}

}  // namespace

Options ParseOptions(int count, char** arguments) {
  Options options;
  const std::map<std::string, std::function<void(const std::string&, const std::string&)>> flags = {
      {"--target", [&](auto&, auto& text) { options.target = text; }},
      {"--method", [&](auto&, auto& text) { options.method = text; }},
      {"--callers", [&](auto& flag, auto& text) { options.callers = static_cast<int>(Number(flag, text, 1)); }},
      {"--channels", [&](auto& flag, auto& text) { options.channels = static_cast<int>(Number(flag, text, 1)); }},
      {"--warm-up", [&](auto& flag, auto& text) { options.warm_up_seconds = Number(flag, text, 0); }},
      {"--seconds", [&](auto& flag, auto& text) { options.seconds = Number(flag, text, 0.01); }},
      {"--calls", [&](auto& flag, auto& text) { options.calls = static_cast<long>(Number(flag, text, 1)); }},
      {"--rate", [&](auto& flag, auto& text) { options.rate = Number(flag, text, 0.1); }},
      {"--deadline-ms", [&](auto& flag, auto& text) { options.deadline_ms = Number(flag, text, 0.1); }},
      {"--payload", [&](auto&, auto& text) { options.payloads.push_back(text); }},
      {"--rubbish", [&](auto&, auto& text) { options.rubbish = text; }},
      {"--rubbish-every",
       [&](auto& flag, auto& text) { options.rubbish_every = static_cast<int>(Number(flag, text, 2)); }},
      {"--metadata", [&](auto&, auto& text) { options.metadata.push_back(Pair(text)); }},
  };
  for (int i = 1; i < count; ++i) {
    std::string flag = arguments[i];
    if (flag == "--help") {
      std::cout << kHelp;
      std::exit(0);
    }
    const size_t split = flag.find('=');
    std::string text;
    if (split != std::string::npos) {
      text = flag.substr(split + 1);
      flag.resize(split);
    } else if (++i < count) {
      text = arguments[i];
    } else {
      Refuse(flag + " needs a value; see --help");
    }
    const auto known = flags.find(flag);
    if (known == flags.end()) Refuse("unknown flag '" + flag + "'; see --help");
    known->second(flag, text);
  }
  if (options.target.empty() || options.method.empty()) Refuse("--target and --method are required; see --help");
  if (options.rate > 0 && !options.rubbish.empty()) Refuse("--rubbish belongs to callers; an open loop has none");
  return options;
}
