// loadgen: calls one unary gRPC method as fast as the answers come, or at a fixed rate, and prints the figures as JSON.
#include <exception>
#include <iostream>

#include "load.h"

int main(int count, char** arguments) {
  const Options options = ParseOptions(count, arguments);
  try {
    Tallies tallies = Load(options);
    std::cout << "{\"good\": " << tallies.good.Json();
    if (!options.rubbish.empty()) std::cout << ", \"rubbish\": " << tallies.rubbish.Json();
    std::cout << "}\n";
  } catch (const std::exception& error) {
    std::cerr << "loadgen: " << error.what() << "\n";
    return 1;
  }
}
