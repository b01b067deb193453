// What physzoo.hpp refuses and lets through, on the folder of ive-pendulum: a line per case for tests/test_cpp.py.

#include <cstdio>
#include <functional>
#include <limits>
#include <locale>
#include <thread>

#include "physzoo.hpp"

namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

physzoo::Tensor rows(std::int64_t batch, std::int64_t size, float value = 0.5f) {
  return {{batch, size}, std::vector<float>(static_cast<std::size_t>(batch * size), value)};
}

void report(const char* name, const std::function<std::string()>& answer) {
  std::string line;
  try {
    line = answer();
  } catch (const physzoo::InputError& error) {
    line = std::string("InputError ") + error.what();
  } catch (const physzoo::Error& error) {
    line = std::string("Error ") + error.what();
  }
  std::printf("%s: %s\n", name, line.c_str());
}

struct Comma : std::numpunct<char> {
  char do_decimal_point() const override { return ','; }
  char do_thousands_sep() const override { return '.'; }
  std::string do_grouping() const override { return "\1"; }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  std::locale::global(std::locale(std::locale(), new Comma));  // numbers of files and messages do not follow the user's locale
  physzoo::Model opened(argv[1], physzoo::session_options(2));
  const physzoo::Model other(argv[1]);  // several in one process
  const physzoo::Model model = std::move(opened);
  const auto& predict = model.endpoint("predict");

  auto shape_of = [&](const physzoo::Tensors& inputs, physzoo::Checks checks = {}) {
    return physzoo::detail::text_of(predict.run(inputs, checks).at("displacement").shape);
  };
  auto changed = [](std::size_t at, float value) {
    auto trajectory = rows(2, 50);
    trajectory.values[at] = value;
    return physzoo::Tensors{{"trajectory", trajectory}, {"time", rows(2, 1)}};
  };

  report("endpoint", [&] { return model.endpoint("encod").spec().name; });
  report("missing", [&] { return shape_of({{"trajectory", rows(2, 50)}}); });
  report("none", [&] { return shape_of({}); });
  report("name", [&] { return shape_of({{"trajectory", rows(2, 50)}, {"times", rows(2, 1)}}); });
  report("extra", [&] { return shape_of({{"trajectory", rows(2, 50)}, {"time", rows(2, 1)}, {"x", rows(2, 1)}}); });
  report("shape", [&] { return shape_of({{"trajectory", rows(2, 49)}, {"time", rows(2, 1)}}); });
  report("unbatched", [&] { return shape_of({{"trajectory", {{50}, std::vector<float>(50)}}, {"time", rows(1, 1)}}); });
  report("scalar", [&] { return shape_of({{"trajectory", {{}, {1.0f}}}, {"time", rows(1, 1)}}); });
  report("negative", [&] { return shape_of({{"trajectory", {{-1, 50}, {}}}, {"time", rows(1, 1)}}); });
  report("values", [&] { return shape_of({{"trajectory", {{2, 50}, std::vector<float>(99)}}, {"time", rows(2, 1)}}); });
  report("huge", [&] { return shape_of({{"trajectory", {{std::int64_t{1} << 62, 50}, {}}}, {"time", rows(2, 1)}}); });
  report("batches", [&] { return shape_of({{"trajectory", rows(2, 50)}, {"time", rows(3, 1)}}); });
  report("nan", [&] { return shape_of(changed(53, kNaN)); });
  report("infinity", [&] { return shape_of(changed(7, -kInfinity)); });
  report("nan let through", [&] { return shape_of(changed(53, kNaN), {false, true}); });
  report("range", [&] { return shape_of(changed(99, 1.5f)); });
  report("range let through", [&] { return shape_of(changed(99, 1.5f), {true, false}); });
  report("range, nan let through", [&] { return shape_of(changed(99, -1.5f), {false, true}); });
  report("nan, range let through", [&] { return shape_of(changed(99, kNaN), {true, false}); });
  report("edge of the range", [&] { return shape_of(changed(99, 1.0f)); });
  report("empty", [&] { return shape_of({{"trajectory", rows(0, 50)}, {"time", rows(0, 1)}}); });

  report("threads", [&]() -> std::string {
    std::vector<int> same(8, 0);
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < same.size(); ++i)
      threads.emplace_back([&, i] {
        const physzoo::Tensors inputs{{"trajectory", rows(3, 50, 0.1f * static_cast<float>(i))}, {"time", rows(3, 1)}};
        const auto expected = other.endpoint("predict").run(inputs).at("displacement").values;
        bool all = true;
        for (int n = 0; n < 200; ++n) all = all && predict.run(inputs).at("displacement").values == expected;
        same[i] = all;
      });
    for (auto& thread : threads) thread.join();
    for (int one : same)
      if (!one) return "mixed up";
    return "each its own answer";
  });
}
