// What physzoo.hpp refuses and lets through, on the folders of ive-pendulum and of tests/set_graphs.py: a line per case for
// tests/test_cpp.py.

#include <algorithm>
#include <cmath>
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

/// All numbers of an output, behind its shape.
template <class T>
std::string all(const physzoo::Tensors& outputs, const char* name) {
  const auto& tensor = outputs.at(name);
  std::string line = physzoo::detail::text_of(tensor.shape);
  for (T value : tensor.as<T>()) line += physzoo::detail::text(" ", +value);
  return line;
}

/// Particles of 1 GeV and their mask, which may be changed before the endpoint gets them.
std::string pooled(const physzoo::Model& model, const std::function<void(physzoo::Tensor&, physzoo::Tensor&)>& change,
                   std::int64_t count = 3, physzoo::Checks checks = {}) {
  physzoo::Tensor particles{{1, count, 3}, {}}, mask({1, count}, std::vector<bool>(static_cast<std::size_t>(count), true));
  for (std::int64_t i = 0; i < count; ++i) particles.values.insert(particles.values.end(), {1, 0, 0.25f});
  change(particles, mask);
  const auto outputs = model.endpoint("pool").run({{"particles", particles}, {"mask", mask}}, checks);
  return all<float>(outputs, "sums") + ", " + all<std::int64_t>(outputs, "count") + ", " + all<std::uint8_t>(outputs, "soft");
}

/// Three nodes and two edges, of which one may be changed.
std::string connected(const physzoo::Model& model, std::int64_t to, double first = 1, std::int32_t charge = 1,
                      physzoo::Checks checks = {}, double second = 0) {
  const physzoo::Tensors inputs{{"nodes", {{1, 3, 2}, std::vector<double>{first, second, 1 + 1e-12, 0, 0, 0}}},
                                {"edges", {{1, 2, 2}, std::vector<std::int64_t>{0, 1, 2, to}}},
                                {"charges", {{1, 3}, std::vector<std::int32_t>{charge, 0, -2}}}};
  const auto outputs = model.endpoint("connect").run(inputs, checks);
  return all<double>(outputs, "steps") + ", " + all<std::int32_t>(outputs, "charge");
}

/// Jets of three particles, of which the last two lie on either side of the axis in azimuth, as in tests/set_graphs.py.
std::string tagged(const physzoo::Model& model, std::vector<double> pt, double spread, std::int64_t rows = 1,
                   physzoo::Checks checks = {}, bool real = true, std::int32_t code = 22) {
  const double pi = std::acos(-1.0), phi[] = {pi, spread - pi, pi - spread};
  physzoo::Tensor constituents{{rows, 3, 3}, {}};
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::size_t i = 0; i < 3; ++i)
      for (double number : {pt[i], 1.0, phi[i]}) constituents.values.push_back(static_cast<float>(number));
  const physzoo::Tensor mask({rows, 3}, std::vector<bool>(static_cast<std::size_t>(rows * 3), real));
  const physzoo::Tensor identity{{rows, 3}, std::vector<std::int32_t>(static_cast<std::size_t>(rows * 3), code)};
  const auto outputs =
      model.endpoint("tag").run({{"constituents", constituents}, {"identity", identity}, {"real", mask}}, checks);
  return physzoo::detail::text_of(outputs.at("multiplicity").shape);
}

void report_jets(const physzoo::Model& sets) {
  const auto nan = std::numeric_limits<double>::quiet_NaN();
  report("padding that is real", [&] { return tagged(sets, {60, 40, 0}, 0.1); });
  report("padding that is real, range let through", [&] { return tagged(sets, {60, 40, 0}, 0.1, 1, {true, false}); });
  report("jet of another momentum", [&] { return tagged(sets, {100, 50, 50}, 0); });
  report("jet in MeV", [&] { return tagged(sets, {60e3, 20e3, 20e3}, 0); });
  report("jet in TeV", [&] { return tagged(sets, {0.05, 0.025, 0.025}, 0); });
  report("jet of a larger radius", [&] { return tagged(sets, {80, 10, 10}, 0.75); });
  report("jets of a smaller radius", [&] { return tagged(sets, {80, 10, 10}, 0.25, 30); });
  report("codes of one sign", [&] { return tagged(sets, {80, 10, 10}, 0.6, 14, {}, true, 211); });
  report("few codes of one sign", [&] { return tagged(sets, {80, 10, 10}, 0.6, 13, {}, true, -211); });
  report("codes of one sign, range let through", [&] { return tagged(sets, {80, 10, 10}, 0.6, 14, {true, false}, true, 2212); });
  report("jets", [&] { return tagged(sets, {80, 10, 10}, 0.6, 29) + tagged(sets, {80, 10, 10}, 0.31, 30); });
  report("few jets that do not reach far", [&] { return tagged(sets, {80, 10, 10}, 0.25, 29); });
  report("jets without particles", [&] { return tagged(sets, {0, 0, 0}, 0, 40, {}, false); });
  report("no jets", [&] { return tagged(sets, {0, 0, 0}, 0, 0); });
  report("jets, range let through", [&] { return tagged(sets, {100, 50, 50}, 0.75, 1, {true, false}); });
  report("jets, nan let through", [&] { return tagged(sets, {nan, 500, 500}, 0.75, 1, {false, true}); });
}

void report_sets(const physzoo::Model& sets) {
  using physzoo::Tensor;
  report("page", [&] {
    physzoo::Tensors event;
    event["particles"] = {{1, 2, 3}, std::vector<float>{9, 0.1f, 2, 0, 0, 0}};  // pt in GeV, eta, phi
    event["mask"] = {{1, 2}, std::vector<bool>{true, false}};                   // the second is padding
    const auto outputs = sets.endpoint("pool").run(event);
    return std::to_string(outputs.at("count").as<std::int64_t>().front());
  });
  report("sets", [&] { return pooled(sets, [](Tensor&, Tensor&) {}); });
  report("padded", [&] {
    return pooled(sets, [](Tensor& particles, Tensor& mask) {
      mask.as<std::uint8_t>() = {1, 0, 1};
      std::fill_n(particles.values.begin() + 3, 3, 0.0f);  // 0 GeV is out of range
    });
  });
  report("real out of range", [&] { return pooled(sets, [](Tensor& particles, Tensor&) { particles.values[3] = 0; }); });
  report("unit of the element", [&] { return pooled(sets, [](Tensor& particles, Tensor&) { particles.values[5] = -4; }); });
  report("NaN in padding", [&] {
    return pooled(sets, [](Tensor& particles, Tensor& mask) {
      mask.as<std::uint8_t>()[1] = 0;
      particles.values[4] = kNaN;
    });
  });
  report("mask of 2", [&] { return pooled(sets, [](Tensor&, Tensor& mask) { mask.as<std::uint8_t>()[1] = 2; }); });
  report("mask of float32", [&] { return pooled(sets, [](Tensor&, Tensor& mask) { mask = rows(1, 3, 1); }); });
  report("both", [&] { return pooled(sets, [](Tensor&, Tensor& mask) { mask.values = {1, 1, 1}; }); });
  report("too many", [&] { return pooled(sets, [](Tensor&, Tensor&) {}, 9); });
  report("too few", [&] { return pooled(sets, [](Tensor&, Tensor&) {}, 0); });
  report("lengths", [&] {
    return pooled(sets, [](Tensor&, Tensor& mask) { mask = {{1, 2}, std::vector<std::uint8_t>{1, 1}}; });
  });
  report("no sets", [&] {
    return pooled(sets, [](Tensor& particles, Tensor& mask) {
      particles = {{0, 3, 3}, {}};
      mask = {{0, 3}, std::vector<bool>{}};
    });
  });
  report("graph", [&] { return connected(sets, 0); });
  report("position too far", [&] { return connected(sets, 3); });
  report("position below zero", [&] { return connected(sets, -1); });
  report("whole number out of range", [&] { return connected(sets, 0, 1, 5); });
  report("fraction", [&] { return connected(sets, 0, 1, 1, {}, 0.5); });
  report("fraction, range let through", [&] { return connected(sets, 0, 1, 1, {true, false}, 0.5); });
  report("double out of range", [&] { return connected(sets, 0, 1e101); });
  report("answer that guards", [&] { return connected(sets, 0, 1000); });
  report("answer that guards, range let through", [&] { return connected(sets, 0, 1000, 1, {true, false}); });
  report("answer that guards, nan let through", [&] { return connected(sets, 0, kInfinity, 1, {false, true}); });
  report("double NaN", [&] { return connected(sets, 0, std::numeric_limits<double>::quiet_NaN()); });
  report("another dtype", [&] { return all<float>({{"x", {{1}, std::vector<std::int64_t>{1}}}}, "x"); });
}

struct Comma : std::numpunct<char> {
  char do_decimal_point() const override { return ','; }
  char do_thousands_sep() const override { return '.'; }
  std::string do_grouping() const override { return "\1"; }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
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

  report_sets(physzoo::Model(argv[2]));
  report_jets(physzoo::Model(argv[2]));

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
