// Reads what `clients/model.json` of an exported folder says of a model. This is a part of physzoo.hpp.
// SPDX-License-Identifier: Apache-2.0

#ifndef PHYSZOO_SPEC_HPP
#define PHYSZOO_SPEC_HPP

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <locale>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace physzoo {

/// This is the base of all that is thrown here.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// This is thrown for an endpoint or a tensor of the wrong name, dtype, shape or range, with NaN or infinity in it, or with a
/// position too far.
struct InputError : Error {
  using Error::Error;
};

/// This is thrown for a file that is missing, damaged or not the one of this model.
struct IntegrityError : Error {
  using Error::Error;
};

using Shape = std::vector<std::int64_t>;

enum class DType { float32, float64, int32, int64, boolean };

/// A fixed axis has `least` equal to `most`; axes of one name have one length within an endpoint.
struct AxisSpec {
  std::string name;
  std::int64_t least, most;
  bool free;                               ///< whether its length may differ between calls
  std::vector<std::string> labels, units;  ///< one for each element, or none
};

/// The anti-kt jets on which the model was trained: their radius, and in GeV the transverse momentum of all particles together.
struct JetSpec {
  double radius, least, most;
};

/// This is what the card says of a tensor.
struct TensorSpec {
  std::string name;
  DType dtype;
  std::vector<AxisSpec> axes;  ///< without the batch
  std::string unit, description;
  std::vector<double> low, high;      ///< of the trained range: none, one number, or one for each element of the last axis
  std::string mask;                   ///< the bool input that says which elements are real; empty where all are
  std::string index_of;               ///< the axis along which the numbers are positions; empty where they are not
  std::vector<std::int64_t> values;   ///< the only numbers that stand for something, in order; empty where all do
  std::vector<std::int64_t> whole;    ///< elements of the last axis that are whole numbers, such as counts
  bool guards = false;                ///< whether an answer outside low and high tells inputs unlike those of the training
  std::optional<JetSpec> jet;         ///< where the elements are particles of jets: pT in GeV, rapidity, azimuth, and others
  /// Accepted is |a - b| <= absolute + relative |b|, one number each or one for each element of the last axis; whole numbers
  /// must be the same.
  std::vector<double> absolute, relative;
};

struct EndpointSpec {
  std::string name, description;
  std::vector<TensorSpec> inputs, outputs;
};

struct ModelSpec {
  std::string name, revision;
  std::vector<EndpointSpec> endpoints;
};

namespace detail {

constexpr const char* kSpecFile = "clients/model.json";

template <class... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream stream;
  stream.imbue(std::locale::classic());
  (stream << ... << parts);
  return stream.str();
}

inline std::string text_of(const Shape& shape) {
  std::string inner;
  for (auto n : shape) inner += (inner.empty() ? "" : ", ") + std::to_string(n);
  return "(" + inner + ")";
}

inline const char* text_of(DType dtype) {
  constexpr const char* names[] = {"float32", "float64", "int32", "int64", "bool"};
  return names[static_cast<int>(dtype)];
}

/// Describes the shape that is expected of a tensor, such as (batch, particle 1-128, 4).
inline std::string expected_shape(const TensorSpec& tensor) {
  std::string inner = "batch";
  for (const auto& axis : tensor.axes)
    inner += axis.free ? text(", ", axis.name, " ", axis.least, "-", axis.most) : text(", ", axis.least);
  return "(" + inner + ")";
}

inline std::string read_file(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::string content{std::istreambuf_iterator<char>(stream), {}};
  if (!stream) throw IntegrityError(text(file.string(), ": cannot be read: copy the exported folder again"));
  return content;
}

/// Reads `clients/model.json` and sees to it that nothing in it can lead beyond a folder or an array.
class SpecReader {
 public:
  explicit SpecReader(const std::filesystem::path& folder) : file_((folder / kSpecFile).string()) {
    if (!std::filesystem::exists(file_) && std::filesystem::exists(folder / "cpp" / "model.txt"))
      throw IntegrityError(text(file_, ": no such file, but cpp/model.txt of an older physzoo: export the model again"));
    const auto content = read_file(file_);
    try {
      read(Json::parse(content));
    } catch (const Json::exception& error) {
      throw IntegrityError(text(file_, ": not the whole spec of a model (", error.what(), "): copy the exported folder again"));
    }
  }

  ModelSpec spec() && { return std::move(spec_); }

 private:
  using Json = nlohmann::ordered_json;

  void read(const Json& json) {
    const auto& format = json.at("format");
    if (format != 2)
      throw IntegrityError(text(file_, ": expected format 2, found ", format.dump(),
                                ": export the model again with the physzoo of this header"));
    json.at("name").get_to(spec_.name);
    json.at("revision").get_to(spec_.revision);
    for (const auto& [name, endpoint] : json.at("endpoints").items()) {
      EndpointSpec read{plain(name), endpoint.value("description", ""), {}, {}};
      for (const auto& one : endpoint.at("inputs")) read.inputs.push_back(tensor(one, json.at("tolerance")));
      for (const auto& one : endpoint.at("outputs")) read.outputs.push_back(tensor(one, json.at("tolerance")));
      check(read);
      spec_.endpoints.push_back(std::move(read));
    }
    expect(!spec_.endpoints.empty(), "an endpoint");
  }

  TensorSpec tensor(const Json& json, const Json& tolerance_of_model) const {
    TensorSpec tensor;
    tensor.name = plain(json.at("name"));
    tensor.dtype = dtype(json.at("dtype"));
    for (const auto& one : json.at("axes")) tensor.axes.push_back(axis(one));
    json.at("unit").get_to(tensor.unit);
    tensor.description = json.value("description", "");
    tensor.low = bound(json, "low");
    tensor.high = bound(json, "high");
    tensor.mask = json.value("mask", "");
    tensor.index_of = json.value("index_of", "");
    for (const auto& one : json.value("values", Json::array())) {
      expect(one.is_number_integer() && whole(tensor.dtype), "whole numbers as the values of " + tensor.name);
      tensor.values.push_back(one.get<std::int64_t>());
    }
    std::sort(tensor.values.begin(), tensor.values.end());
    for (const auto& one : json.value("whole", Json::array())) {
      const auto size = tensor.axes.empty() || tensor.axes.back().free ? 0 : tensor.axes.back().most;
      const auto element = one.is_number_integer() ? one.get<std::int64_t>() : -1;
      expect(element >= 0 && element < size && (tensor.dtype == DType::float32 || tensor.dtype == DType::float64),
             "elements of the last axis as the whole numbers of " + tensor.name);
      tensor.whole.push_back(element);
    }
    tensor.guards = json.value("guards", false);
    expect(!tensor.guards || (tensor.mask.empty() && (tensor.dtype == DType::float32 || tensor.dtype == DType::float64)),
           "numbers without a mask as what guards, " + tensor.name);
    if (json.contains("jet")) tensor.jet = jet(json.at("jet"), tensor);
    const auto& tolerance = json.contains("tolerance") ? json.at("tolerance") : tolerance_of_model;
    tensor.absolute = numbers(tolerance.at("absolute"), "the tolerance of " + tensor.name);
    tensor.relative = numbers(tolerance.at("relative"), "the tolerance of " + tensor.name);
    for (const auto* each : {&tensor.absolute, &tensor.relative}) {
      const auto size = tensor.axes.empty() || tensor.axes.back().free ? 1 : tensor.axes.back().most;
      expect(each->size() == 1 || static_cast<std::int64_t>(each->size()) == size, "the tolerance of " + tensor.name);
    }
    return tensor;
  }

  JetSpec jet(const Json& json, const TensorSpec& tensor) const {
    const auto what = "radius and transverse momenta of the jets of " + tensor.name;
    const auto radius = numbers(json.at("radius"), what), pt = numbers(json.at("pt"), what);
    expect(radius.size() == 1 && radius[0] > 0 && pt.size() == 2 && pt[0] < pt[1], what);
    expect(tensor.dtype == DType::float32 && tensor.axes.size() == 2 && !tensor.mask.empty() && !tensor.axes[1].free &&
               tensor.axes[1].most >= 3,
           "particles with a mask as " + tensor.name);
    return {radius[0], pt[0], pt[1]};
  }

  AxisSpec axis(const Json& json) const {
    const bool free = !json.contains("size");
    const auto length = [&](const char* key) {
      const auto& given = json.at(key);
      expect(given.is_number_integer() && given > 0 && given < (1 << 30), "whole numbers above zero as length of an axis");
      return given.get<std::int64_t>();
    };
    AxisSpec axis{json.at("name"), length(free ? "least" : "size"), length(free ? "most" : "size"), free, {}, {}};
    expect(axis.least <= axis.most, "least <= most of the axis " + axis.name);
    axis.labels = json.value("labels", axis.labels);
    axis.units = json.value("units", axis.units);
    expect(axis.units.empty() || static_cast<std::int64_t>(axis.units.size()) == axis.most,
           "a unit for each element of " + axis.name);
    return axis;
  }

  DType dtype(const Json& json) const {
    for (auto dtype : {DType::float32, DType::float64, DType::int32, DType::int64, DType::boolean})
      if (json == text_of(dtype)) return dtype;
    damaged("float32, float64, int32, int64 or bool as dtype");
  }

  /// Returns a name if it can be part of a path.
  std::string plain(const std::string& name) const {
    const auto letter = [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '_' || c == '.'; };
    expect(!name.empty() && std::isalnum(static_cast<unsigned char>(name.front())), "a plain name");
    expect(std::all_of(name.begin(), name.end(), letter), "a plain name");
    return name;
  }

  std::vector<double> bound(const Json& tensor, const char* side) const {
    if (!tensor.contains(side)) return {};
    return numbers(tensor.at(side), "the range of " + tensor.at("name").get<std::string>());
  }

  /// Returns one number, or those of an array.
  std::vector<double> numbers(const Json& given, const std::string& what) const {
    std::vector<double> found;
    for (const auto& one : given.is_array() ? given : Json::array({given})) {
      expect(one.is_number(), what);
      found.push_back(one.get<double>());
    }
    return found;
  }

  void check(const EndpointSpec& endpoint) const {
    expect(!endpoint.inputs.empty() && !endpoint.outputs.empty(), "inputs and outputs of " + endpoint.name);
    std::map<std::string, const AxisSpec*> axes;
    for (const auto* tensors : {&endpoint.inputs, &endpoint.outputs})
      for (const auto& tensor : *tensors) {
        std::int64_t size = 1;
        for (const auto& axis : tensor.axes) {
          const auto& known = *axes.emplace(axis.name, &axis).first->second;
          expect(known.least == axis.least && known.most == axis.most && known.free == axis.free, "one length of " + axis.name);
          expect(tensors == &endpoint.inputs || !axis.free || &known != &axis, "an input with the axis " + axis.name);
          expect(size <= (std::int64_t{1} << 31) / axis.most, "the shape of " + tensor.name);
          size *= axis.most;
        }
        for (const auto* bound : {&tensor.low, &tensor.high})
          expect(bound->size() <= 1 || (!tensor.axes.empty() && !tensor.axes.back().free &&
                                        static_cast<std::int64_t>(bound->size()) == tensor.axes.back().most),
                 "the range of " + tensor.name);
        if (!tensor.mask.empty()) expect(masks(endpoint, tensor), "a bool input as the mask of " + tensor.name);
      }
    for (const auto& tensor : endpoint.inputs)
      expect(tensor.index_of.empty() || (axes.count(tensor.index_of) && whole(tensor.dtype)),
             "whole numbers along an axis as " + tensor.name);
  }

  static bool whole(DType dtype) { return dtype == DType::int32 || dtype == DType::int64; }

  static bool masks(const EndpointSpec& endpoint, const TensorSpec& tensor) {
    for (const auto& mask : endpoint.inputs)
      if (mask.name == tensor.mask)
        return mask.dtype == DType::boolean && mask.axes.size() <= tensor.axes.size() &&
               (!tensor.jet || mask.axes.size() == 1) &&
               std::equal(mask.axes.begin(), mask.axes.end(), tensor.axes.begin(),
                          [](const AxisSpec& a, const AxisSpec& b) { return a.name == b.name; });
    return false;
  }

  void expect(bool fulfilled, const std::string& expected) const {
    if (!fulfilled) damaged(expected);
  }

  [[noreturn]] void damaged(const std::string& expected) const {
    throw IntegrityError(text(file_, ": expected ", expected, ": copy the exported folder again"));
  }

  std::string file_;
  ModelSpec spec_;
};

}  // namespace detail
}  // namespace physzoo

#endif
