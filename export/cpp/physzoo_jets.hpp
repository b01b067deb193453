// Whether jets are such as a model was trained on, as zoo/model/jet_check.py says it. This is a part of physzoo.hpp.
// SPDX-License-Identifier: Apache-2.0

#ifndef PHYSZOO_JETS_HPP
#define PHYSZOO_JETS_HPP

#include <array>
#include <cmath>
#include <optional>

#include "physzoo_tensors.hpp"

namespace physzoo::detail {

/// In radii: no particle of a jet lies farther from its axis, and many jets of which none reaches so far are of smaller ones.
constexpr double kReach = 1.6, kNarrow = 0.75;
constexpr std::size_t kMany = 30;

/// PDG codes of hadrons that have an antiparticle, whose code is the negative; so many of them are never all of one sign.
constexpr std::array<std::int64_t, 4> kSigned{211, 321, 2112, 2212};
constexpr std::size_t kManyCodes = 40;

/// Tells whether the values that a tensor may have, in rising order, are PDG codes, antiparticles among them.
inline bool are_pdg_codes(const std::vector<std::int64_t>& values) {
  return std::all_of(kSigned.begin(), kSigned.end(), [&](std::int64_t code) {
    return std::binary_search(values.begin(), values.end(), code) && std::binary_search(values.begin(), values.end(), -code);
  });
}

/// Throws InputError for PDG codes of many hadrons that have all one sign, such as absolute ones.
template <class T>
void refuse_one_sign(const TensorSpec& tensor, const std::vector<T>& codes, const std::vector<std::uint8_t>* real) {
  std::array<std::size_t, 2> counts{};  // of particles and of antiparticles
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const auto code = static_cast<std::int64_t>(codes[i]);
    if ((!real || (*real)[i]) && std::find(kSigned.begin(), kSigned.end(), std::abs(code)) != kSigned.end())
      ++counts[code < 0];
  }
  const auto most = std::max(counts[0], counts[1]);
  if (most >= kManyCodes && std::min(counts[0], counts[1]) == 0)
    throw InputError(text("input ", tensor.name, ": expected signed PDG codes, such as 211 for a pi+ and -211 for a pi-, given ",
                          most, " of charged hadrons and neutrons, of which none is ", counts[1] ? "positive" : "negative",
                          ": give each its sign; Checks::range = false takes them all the same"));
}

/// The transverse momentum of the sum of the particles, and the distance of the farthest of them from the axis.
struct SeenJet {
  double pt = 0, farthest = 0;
};

/// Looks at a jet of `count` elements of `size` numbers each: pT, rapidity, azimuth, and others. Gives nothing of a jet without
/// particles, or with numbers that are not finite.
inline std::optional<SeenJet> seen_jet(const float* particles, const std::uint8_t* real, std::size_t count, std::size_t size) {
  double px = 0, py = 0, plus = 0, minus = 0;
  if (std::find(real, real + count, 1) == real + count) return {};
  for (std::size_t i = 0; i < count; ++i) {
    if (!real[i]) continue;
    for (std::size_t k = 0; k < 3; ++k)
      if (!finite(particles[i * size + k])) return {};
    const double pt = particles[i * size], y = particles[i * size + 1], phi = particles[i * size + 2];
    px += pt * std::cos(phi);
    py += pt * std::sin(phi);
    plus += pt * std::exp(y);
    minus += pt * std::exp(-y);
  }
  const double rapidity = std::log(plus / minus) / 2, azimuth = std::atan2(py, px);
  SeenJet seen{std::hypot(px, py), 0};
  for (std::size_t i = 0; i < count; ++i) {
    if (!real[i]) continue;
    const double turned = std::remainder(particles[i * size + 2] - azimuth, 2 * std::acos(-1.0));
    seen.farthest = std::max(seen.farthest, std::hypot(particles[i * size + 1] - rapidity, turned));
  }
  return seen;
}

inline std::string as_if(const JetSpec& jet, double pt) {
  const auto trained = [&](double one) { return one >= jet.least && one <= jet.most; };
  return trained(pt * 1000) ? ", as if in TeV or relative to the jet" : trained(pt * 0.001) ? ", as if in MeV" : "";
}

/// Throws InputError for jets that the model was not trained on, where `range` asks for it, and for padding that is said to be
/// real. Jets with numbers that are not finite are let through here.
inline void refuse_jets(const TensorSpec& tensor, const Tensor& given, const std::vector<std::uint8_t>& real, bool range) {
  const auto& particles = given.as<float>();
  const auto count = static_cast<std::size_t>(given.shape[1]), size = static_cast<std::size_t>(given.shape[2]);
  std::size_t nothing = 0, first = 0;
  for (std::size_t i = 0; i < real.size(); ++i)
    if (real[i] && finite(particles[i * size]) && particles[i * size] <= 0 && nothing++ == 0) first = i;
  const auto where = "input " + tensor.name + ": ";
  if (nothing)
    throw InputError(text(where, nothing, " elements are real and have no transverse momentum, the first at (", first / count,
                          ", ", first % count, "): expected above 0 GeV where ", tensor.mask, " is true, given ",
                          particles[first * size], "; padding is not real"));
  if (!range) return;
  const auto& jet = *tensor.jet;
  SeenJet other, wide;
  std::size_t jets = 0, others = 0, other_row = 0, far = 0, far_row = 0;
  double most = 0;
  for (std::size_t row = 0; row * count < real.size(); ++row) {
    const auto seen = seen_jet(particles.data() + row * count * size, real.data() + row * count, count, size);
    if (!seen) continue;
    ++jets;
    most = std::max(most, seen->farthest);
    if ((seen->pt < jet.least || seen->pt > jet.most) && others++ == 0) other = *seen, other_row = row;
    if (seen->farthest > kReach * jet.radius && far++ == 0) wide = *seen, far_row = row;
  }
  const std::string lets = "extrapolate with Checks::range = false";
  if (others)
    throw InputError(text(where, others, " jets lie outside the trained range, the first in row ", other_row, ": expected ",
                          jet.least, " to ", jet.most, " GeV of transverse momentum, that of the sum of the particles, given ",
                          other.pt, as_if(jet, other.pt), "; check the units, or ", lets));
  const auto reason = text("as of anti-kt jets of radius ", jet.radius);
  if (far)
    throw InputError(text(where, far, " jets reach farther than those of the training, the first in row ", far_row,
                          ": expected particles within ", kReach * jet.radius, " of the axis, ", reason, ", given one at ",
                          wide.farthest, "; cluster with that radius, or ", lets));
  if (jets >= kMany && most < kNarrow * jet.radius)
    throw InputError(text(where, "none of ", jets, " jets reaches as far as those of the training: expected particles beyond ",
                          kNarrow * jet.radius, " from the axis, ", reason, ", given at most ", most,
                          "; cluster with that radius, or ", lets));
}

}  // namespace physzoo::detail

#endif
