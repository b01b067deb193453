// physzoo_example FOLDER: the latents of two pendulums of one's own, by the exported ive-pendulum.

#include <cmath>
#include <cstdio>

#include "physzoo.hpp"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: physzoo_example FOLDER, of zoo export ive-pendulum\n");
    return 2;
  }
  try {
    const physzoo::Model model(argv[1]);  // once a job; physzoo::session_options(4) as second argument for four threads
    const auto& encode = model.endpoint("encode");

    physzoo::Tensor trajectory{{2, 50}, {}};  // two pendulums, x(t) in m at 50 times from 0 to 5 s, released at 1 m
    for (const double frequency : {2.5, 3.0})
      for (int i = 0; i < 50; ++i) {
        const double t = 5.0 * i / 49;
        trajectory.values.push_back(static_cast<float>(std::exp(-0.3 * t) * std::cos(frequency * t)));
      }

    const auto latents = encode.run({{"trajectory", trajectory}});
    const auto& mean = latents.at("mean");  // (2, 3), in C order
    for (int row = 0; row < 2; ++row)
      std::printf("pendulum %d: latents %.4f %.4f %.4f\n", row, mean.values[3 * row], mean.values[3 * row + 1],
                  mean.values[3 * row + 2]);
    return 0;
  } catch (const physzoo::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
