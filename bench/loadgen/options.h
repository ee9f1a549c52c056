// The generator's options, from its command line.
#pragma once

#include <string>
#include <utility>
#include <vector>

struct Options {
  std::string target;  // HOST:PORT
  std::string method;  // /package.Service/Method, unary
  int callers = 1;     // calls in flight at most
  int channels = 1;    // connections; caller i uses channel i mod channels
  double warm_up_seconds = 0.5;
  double seconds = 3.0;
  long calls = 0;            // stop after so many calls, warm-up excluded; 0: after `seconds`
  double rate = 0.0;         // calls/s to begin, whatever the answers do; 0: a caller begins when its last call ended
  double deadline_ms = 0.0;  // of each call; 0: none
  std::vector<std::string> payloads;  // files of one serialised request each, sent in turn; none: empty requests
  std::string rubbish;                // the file that some callers send instead; empty: none do
  int rubbish_every = 8;              // one caller in so many sends it
  std::vector<std::pair<std::string, std::string>> metadata;
};

// Prints a message and exits with 2 if the command line is wrong, with 0 after --help.
Options ParseOptions(int count, char** arguments);
