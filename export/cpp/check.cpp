// physzoo_check FOLDER: does an exported model answer here as it did on the day of its release? Exit status 1 where not.

#include <cstdio>

#include "physzoo.hpp"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: physzoo_check FOLDER, one that zoo export wrote\n");
    return 2;
  }
  try {
    const physzoo::Model model(argv[1]);
    std::printf("%s@%s, ONNX Runtime %s\n", model.spec().name.c_str(), model.spec().revision.c_str(),
                OrtGetApiBase()->GetVersionString());
    bool ok = true;
    for (const auto& line : model.check()) {
      std::printf("%s %s: %lld rows, largest |difference| %.2g in one batch, %.2g row by row: %s\n", line.endpoint.c_str(),
                  line.output.c_str(), static_cast<long long>(line.rows), line.whole, line.single,
                  line.ok ? "ok" : "OUTSIDE THE TOLERANCE");
      ok = ok && line.ok;
    }
    return ok ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
