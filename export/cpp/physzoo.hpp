// A model that `zoo export` wrote, in C++17 and ONNX Runtime: named tensors in and out, names, shapes, NaN and ranges checked.
//
//     physzoo::Model model("ive-pendulum");  // once; opens every graph
//     auto latents = model.endpoint("encode").run({{"trajectory", {{1, 50}, x}}});  // const, from any thread
//     latents.at("mean").values;
//
// Needs ONNX Runtime from 1.13 on and a little-endian machine. SPDX-License-Identifier: Apache-2.0

#ifndef PHYSZOO_HPP
#define PHYSZOO_HPP

#if __has_include(<onnxruntime_cxx_api.h>)
#include <onnxruntime_cxx_api.h>
#elif __has_include(<onnxruntime/onnxruntime_cxx_api.h>)  // CMSSW
#include <onnxruntime/onnxruntime_cxx_api.h>
#else  // installed from source, as in Athena and Key4hep
#include <core/session/onnxruntime_cxx_api.h>
#endif

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <locale>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace physzoo {

/// Base of all that is thrown here.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// An endpoint or a tensor of the wrong name, shape or range, or with NaN or infinity in it.
struct InputError : Error {
  using Error::Error;
};

/// A file that is missing, damaged or not the one of this model.
struct IntegrityError : Error {
  using Error::Error;
};

using Shape = std::vector<std::int64_t>;

/// Numbers in C order; the first axis is the batch.
struct Tensor {
  Shape shape;
  std::vector<float> values;
};

using Tensors = std::map<std::string, Tensor>;

/// What the card says of a tensor; `shape` is without the batch, the trained range has one number per element of the last axis.
struct TensorSpec {
  std::string name;
  Shape shape;
  std::string unit;
  std::vector<float> low, high;
  std::size_t size;                   ///< numbers in a row
  double absolute = 0, relative = 0;  ///< accepted is |a - b| <= absolute + relative |b|
};

struct EndpointSpec {
  std::string name;
  std::vector<TensorSpec> inputs, outputs;
};

struct ModelSpec {
  std::string name, revision;
  double absolute = 0, relative = 0;  ///< of tensors that have no tolerance of their own
  std::vector<EndpointSpec> endpoints;
};

/// Which values are refused.
struct Checks {
  bool finite = true;  ///< NaN and infinity
  bool range = true;   ///< values outside the trained range
};

/// How far an output is from its test tensor; infinite where it is not a number.
struct Comparison {
  std::string endpoint, output;
  std::int64_t rows;
  double whole;   ///< largest |difference|, all rows in one batch
  double single;  ///< the same, row by row
  bool ok;        ///< both within the tolerance
};

namespace detail {

template <class... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream stream;
  stream.imbue(std::locale::classic());
  (stream << ... << parts);
  return stream.str();
}

inline std::string text_of(const Shape& shape) {
  std::string inner;
  for (auto n : shape) inner += (inner.empty() ? "" : ", ") + (n < 0 ? std::string("batch") : std::to_string(n));
  return "(" + inner + ")";
}

inline Shape with_batch(std::int64_t rows, const Shape& shape) {
  Shape whole{rows};
  whole.insert(whole.end(), shape.begin(), shape.end());
  return whole;
}

/// By its bits, since -ffast-math optimises std::isfinite away.
inline bool finite(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return (bits & 0x7f800000u) != 0x7f800000u;
}

inline std::string read_file(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::string content{std::istreambuf_iterator<char>(stream), {}};
  if (!stream) throw IntegrityError(text(file.string(), ": cannot be read: copy the exported folder again"));
  return content;
}

/// Reads `cpp/model.txt`, one fact a line.
class SpecReader {
 public:
  explicit SpecReader(const std::filesystem::path& file) : file_(file.string()) {
    std::istringstream lines(read_file(file));
    std::string line;
    while (!ended_ && std::getline(lines, line)) {
      ++number_;
      rest_ = std::istringstream(line);
      rest_.imbue(std::locale::classic());
      read(word());
    }
    if (!ended_) damaged("the line 'end'");
    for (auto& endpoint : spec_.endpoints)
      for (auto* tensors : {&endpoint.inputs, &endpoint.outputs}) {
        if (tensors->empty()) damaged("inputs and outputs of " + endpoint.name);
        for (auto& tensor : *tensors) complete(tensor);
      }
  }

  ModelSpec spec() && { return std::move(spec_); }

 private:
  void read(const std::string& key) {
    if (number_ == 1) {
      if (key != "physzoo" || word() != "1") damaged("'physzoo 1'");
    } else if (key == "model") {
      spec_.name = word();
      spec_.revision = word();
    } else if (key == "tolerance") {
      auto both = numbers<double>();
      if (both.size() != 2) damaged("two numbers");
      (tensor_ ? tensor_->absolute : spec_.absolute) = both[0];
      (tensor_ ? tensor_->relative : spec_.relative) = both[1];
    } else if (key == "endpoint") {
      spec_.endpoints.push_back({word(), {}, {}});
    } else if (key == "input" || key == "output") {
      if (spec_.endpoints.empty()) damaged("an endpoint");
      auto& endpoint = spec_.endpoints.back();
      auto& tensors = key == "input" ? endpoint.inputs : endpoint.outputs;
      tensors.push_back({word(), {}, {}, {}, {}, 1, spec_.absolute, spec_.relative});
      tensor_ = &tensors.back();
      tensor_->shape = numbers<std::int64_t>();
    } else if (key == "end") {
      ended_ = true;
    } else if (!tensor_) {
      damaged("a tensor");
    } else if (key == "unit") {
      std::getline(rest_ >> std::ws, tensor_->unit);
    } else if (key == "low" || key == "high") {
      auto bound = numbers<double>();  // rounded to float once, as in Python
      (key == "low" ? tensor_->low : tensor_->high).assign(bound.begin(), bound.end());
    } else {
      damaged("a known word");
    }
  }

  void complete(TensorSpec& tensor) {
    for (auto n : tensor.shape) {
      if (n < 1 || tensor.size > (std::size_t{1} << 31) / static_cast<std::size_t>(n)) damaged("the shape of " + tensor.name);
      tensor.size *= static_cast<std::size_t>(n);
    }
    const auto last = tensor.shape.empty() ? std::size_t{1} : static_cast<std::size_t>(tensor.shape.back());
    constexpr float limit = std::numeric_limits<float>::max();
    for (auto [bound, open] : {std::pair{&tensor.low, -limit}, std::pair{&tensor.high, limit}}) {
      if (bound->size() <= 1) bound->assign(last, bound->empty() ? open : bound->front());
      if (bound->size() != last) damaged("the range of " + tensor.name);
    }
  }

  std::string word() {
    std::string word;
    if (!(rest_ >> word)) damaged("a word");
    return word;
  }

  template <class Number>
  std::vector<Number> numbers() {
    std::vector<Number> all;
    for (Number number; rest_ >> number;) all.push_back(number);
    if (!rest_.eof()) damaged("numbers");
    return all;
  }

  [[noreturn]] void damaged(const std::string& expected) const {
    throw IntegrityError(text(file_, ", line ", number_, ": expected ", expected, ": export the model again"));
  }

  std::string file_;
  ModelSpec spec_;
  TensorSpec* tensor_ = nullptr;
  std::istringstream rest_;
  int number_ = 0;
  bool ended_ = false;
};

/// Rows of a tensor from a .npy file as NumPy writes it: version 1.0, float32, C order.
inline Tensor read_npy(const std::filesystem::path& file, const TensorSpec& spec) {
  const std::string content = read_file(file), magic("\x93NUMPY\x01\x00", 8);
  auto damaged = [&](const std::string& why) {
    return IntegrityError(text(file.string(), ": ", why, ": copy the folder again"));
  };
  if (content.size() < 10 || content.compare(0, 8, magic) != 0) throw damaged("expected a .npy file");
  const auto length = static_cast<unsigned char>(content[8]) + 256u * static_cast<unsigned char>(content[9]);
  const std::string start = "{'descr': '<f4', 'fortran_order': False, 'shape': (", header = content.substr(10, length);
  if (header.compare(0, start.size(), start) != 0) throw damaged("expected float32 in C order");
  std::string numbers = header.substr(start.size(), header.find(')') - start.size());
  std::replace(numbers.begin(), numbers.end(), ',', ' ');
  std::istringstream stream(numbers);
  stream.imbue(std::locale::classic());
  Tensor tensor;
  for (std::int64_t n; stream >> n;) tensor.shape.push_back(n);
  const auto bytes = content.size() - std::min(content.size(), std::size_t{10} + length), row = 4 * spec.size;
  const auto rows = bytes / row;
  if (rows == 0 || bytes % row != 0 || tensor.shape != with_batch(static_cast<std::int64_t>(rows), spec.shape))
    throw damaged(text("expected rows of shape ", text_of(with_batch(-1, spec.shape)), ", found ", text_of(tensor.shape),
                       " in ", bytes, " bytes"));
  tensor.values.resize(rows * spec.size);
  std::memcpy(tensor.values.data(), content.data() + content.size() - bytes, bytes);
  return tensor;
}

inline Tensor one_row(const Tensor& tensor, std::int64_t row) {
  const auto size = static_cast<std::ptrdiff_t>(tensor.values.size()) / tensor.shape.front();
  const auto start = tensor.values.begin() + row * size;
  Tensor one{tensor.shape, {start, start + size}};
  one.shape.front() = 1;
  return one;
}

}  // namespace detail

/// Options for `Model`: one thread, as frameworks run an event a thread, unless told otherwise.
inline Ort::SessionOptions session_options(int threads = 1) {
  Ort::SessionOptions options;
  options.SetIntraOpNumThreads(threads);
  options.SetInterOpNumThreads(1);
  return options;
}

/// One function of a model, over one graph. Made by `Model`.
class Endpoint {
 public:
  Endpoint(const Ort::Env& env, const std::filesystem::path& folder, const ModelSpec& model, const EndpointSpec& spec,
           const Ort::SessionOptions& options)
      : spec_(spec), memory_(Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault)) {
    const auto file = folder / (spec.name + ".onnx");
    if (!std::filesystem::is_regular_file(file))
      throw IntegrityError(detail::text(file.string(), ": no such file: copy the exported folder again"));
    try {
      session_ = std::make_unique<Ort::Session>(env, file.c_str(), options);
    } catch (const Ort::Exception& error) {
      throw IntegrityError(detail::text(file.string(), ": ONNX Runtime cannot load this graph: ", error.what()));
    }
    expect(file, model.name + "@" + model.revision + " " + spec.name,
           property("model") + "@" + property("revision") + " " + property("endpoint"));
    expect(file, described(spec_.inputs, "inputs"), graph_inputs());
    expect(file, described(spec_.outputs, "outputs"), graph_outputs());
    for (const auto& tensor : spec_.inputs) input_names_.push_back(tensor.name.c_str());
    for (const auto& tensor : spec_.outputs) output_names_.push_back(tensor.name.c_str());
  }

  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;

  const EndpointSpec& spec() const { return spec_; }

  /// Outputs by name, (batch, *shape). Throws InputError, and Error where ONNX Runtime fails. Any number of threads may call
  /// it.
  Tensors run(const Tensors& inputs, Checks checks = {}) const {
    const auto rows = check(inputs, checks);
    Tensors outputs;
    std::vector<Ort::Value> given, answers;
    for (const auto& tensor : spec_.outputs) {
      auto& output = outputs[tensor.name] = {detail::with_batch(rows, tensor.shape), {}};
      output.values.resize(static_cast<std::size_t>(rows) * tensor.size);
      answers.push_back(view(output));
    }
    if (rows == 0) return outputs;  // some operators refuse an empty batch
    for (const auto& tensor : spec_.inputs) given.push_back(view(inputs.at(tensor.name)));
    try {
      session_->Run(Ort::RunOptions{nullptr}, input_names_.data(), given.data(), given.size(), output_names_.data(),
                    answers.data(), answers.size());
    } catch (const Ort::Exception& error) {
      throw Error(detail::text("endpoint ", spec_.name, ": ", error.what()));
    }
    return outputs;
  }

 private:
  static void expect(const std::filesystem::path& file, const std::string& expected, const std::string& found) {
    if (found != expected)
      throw IntegrityError(detail::text(file.string(), ": expected ", expected, " as in cpp/model.txt, found ", found,
                                        ": export the model again"));
  }

  std::string property(const char* key) const {
    Ort::AllocatorWithDefaultOptions allocator;
    const auto value = session_->GetModelMetadata().LookupCustomMetadataMapAllocated(key, allocator);
    return value ? value.get() : "none";
  }

  static std::string described(const std::map<std::string, Shape>& shapes, const std::string& kind) {
    std::string all = "the " + kind;
    for (const auto& [name, shape] : shapes) all += " " + name + " " + detail::text_of(shape);
    return all;
  }

  static std::string described(const std::vector<TensorSpec>& tensors, const std::string& kind) {
    std::map<std::string, Shape> shapes;
    for (const auto& tensor : tensors) shapes[tensor.name] = detail::with_batch(-1, tensor.shape);
    return described(shapes, kind);
  }

  std::string graph_inputs() const {
    Ort::AllocatorWithDefaultOptions allocator;
    std::map<std::string, Shape> shapes;
    for (std::size_t i = 0; i < session_->GetInputCount(); ++i)
      shapes[session_->GetInputNameAllocated(i, allocator).get()] = float_shape(session_->GetInputTypeInfo(i));
    return described(shapes, "inputs");
  }

  std::string graph_outputs() const {
    Ort::AllocatorWithDefaultOptions allocator;
    std::map<std::string, Shape> shapes;
    for (std::size_t i = 0; i < session_->GetOutputCount(); ++i)
      shapes[session_->GetOutputNameAllocated(i, allocator).get()] = float_shape(session_->GetOutputTypeInfo(i));
    return described(shapes, "outputs");
  }

  static Shape float_shape(const Ort::TypeInfo& info) {
    if (info.GetONNXType() != ONNX_TYPE_TENSOR) return {};
    const auto tensor = info.GetTensorTypeAndShapeInfo();
    return tensor.GetElementType() == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT ? tensor.GetShape() : Shape{};
  }

  /// ONNX Runtime takes no pointer to const, and does not write to inputs.
  Ort::Value view(const Tensor& tensor) const {
    return Ort::Value::CreateTensor<float>(memory_, const_cast<float*>(tensor.values.data()), tensor.values.size(),
                                           tensor.shape.data(), tensor.shape.size());
  }

  std::int64_t check(const Tensors& inputs, Checks checks) const {
    bool named = inputs.size() == spec_.inputs.size();
    for (const auto& tensor : spec_.inputs) named = named && inputs.count(tensor.name);
    if (!named) {
      std::string expected, given;
      for (const auto& tensor : spec_.inputs) expected += " " + tensor.name;
      for (const auto& input : inputs) given += " " + input.first;
      throw InputError("endpoint " + spec_.name + ": expected the inputs" + expected + ", given" +
                       (given.empty() ? " none" : given));
    }
    std::int64_t rows = -1;
    for (const auto& tensor : spec_.inputs) {
      const auto& [shape, values] = inputs.at(tensor.name);
      const auto batch = shape.empty() ? -1 : shape.front();
      if (batch < 0 || shape != detail::with_batch(batch, tensor.shape))
        throw InputError(detail::text("input ", tensor.name, ": expected shape ",
                                      detail::text_of(detail::with_batch(-1, tensor.shape)), ", given ",
                                      detail::text_of(shape)));
      if (values.size() / tensor.size != static_cast<std::size_t>(batch) || values.size() % tensor.size != 0)
        throw InputError(detail::text("input ", tensor.name, ": expected as many values as shape ", detail::text_of(shape),
                                      " has, given ", values.size()));
      if (rows >= 0 && batch != rows)
        throw InputError(detail::text("inputs must have the same number of rows, given ", batch, " of ", tensor.name, " and ",
                                      rows, " of ", spec_.inputs.front().name));
      rows = batch;
      if (!inside(tensor, values)) refuse(tensor, inputs.at(tensor.name), checks);
    }
    return rows;
  }

  static bool inside(const TensorSpec& tensor, const std::vector<float>& values) {
    const auto last = tensor.low.size();
    bool all = true;
    for (std::size_t start = 0; start < values.size(); start += last)
      for (std::size_t i = 0; i < last; ++i) {
        const float value = values[start + i];
        all &= detail::finite(value) & (value >= tensor.low[i]) & (value <= tensor.high[i]);
      }
    return all;
  }

  static void refuse(const TensorSpec& tensor, const Tensor& given, Checks checks) {
    std::size_t infinite = 0, outside = 0, first_infinite = 0, first_outside = 0;
    const auto last = tensor.low.size();
    for (std::size_t i = 0; i < given.values.size(); ++i) {
      const float value = given.values[i];
      if (!detail::finite(value)) {
        if (infinite++ == 0) first_infinite = i;
      } else if (value < tensor.low[i % last] || value > tensor.high[i % last]) {
        if (outside++ == 0) first_outside = i;
      }
    }
    if (infinite && checks.finite)
      throw InputError(detail::text("input ", tensor.name, ": ", infinite, " values are NaN or infinite, the first at ",
                                    place(given.shape, first_infinite), "; Checks::finite = false lets them through"));
    if (outside && checks.range)
      throw InputError(detail::text("input ", tensor.name, ": ", outside,
                                    " values lie outside the trained range, the first at ", place(given.shape, first_outside),
                                    ": expected ", tensor.low[first_outside % last], " to ", tensor.high[first_outside % last],
                                    " ", tensor.unit, ", given ", given.values[first_outside],
                                    "; check the units, or extrapolate with Checks::range = false"));
  }

  static std::string place(const Shape& shape, std::size_t flat) {
    Shape at(shape.size());
    for (auto axis = shape.size(); axis-- > 0;) {
      at[axis] = static_cast<std::int64_t>(flat) % shape[axis];
      flat /= static_cast<std::size_t>(shape[axis]);
    }
    return detail::text_of(at);
  }

  EndpointSpec spec_;
  Ort::MemoryInfo memory_;
  std::unique_ptr<Ort::Session> session_;
  std::vector<const char*> input_names_, output_names_;  // point into spec_
};

/// All endpoints of an exported folder.
class Model {
 public:
  /// Throws IntegrityError where a file is missing, damaged or not this model's.
  explicit Model(const std::filesystem::path& folder, const Ort::SessionOptions& options = session_options())
      : folder_(folder), env_(ORT_LOGGING_LEVEL_WARNING, "physzoo") {
    if (!std::filesystem::is_directory(folder))
      throw IntegrityError(detail::text(folder.string(), ": no such folder: expected one that zoo export wrote"));
    spec_ = detail::SpecReader(folder / "cpp" / "model.txt").spec();
    for (const auto& endpoint : spec_.endpoints) endpoints_.try_emplace(endpoint.name, env_, folder, spec_, endpoint, options);
  }

  const ModelSpec& spec() const { return spec_; }

  /// Throws InputError where there is none of this name. Lives as long as the model.
  const Endpoint& endpoint(const std::string& name) const {
    const auto found = endpoints_.find(name);
    if (found != endpoints_.end()) return found->second;
    std::string known;
    for (const auto& endpoint : endpoints_) known += " " + endpoint.first;
    throw InputError(spec_.name + " has no endpoint " + name + ", it has" + known);
  }

  /// Runs every endpoint on the shipped test tensors, whole and row by row. Throws IntegrityError where these are damaged.
  std::vector<Comparison> check() const {
    std::vector<Comparison> all;
    for (const auto& spec : spec_.endpoints) {
      const auto& endpoint = endpoints_.at(spec.name);
      const auto tensors = folder_ / "cpp" / spec.name;
      Tensors inputs, single;
      for (const auto& tensor : spec.inputs)
        inputs[tensor.name] = detail::read_npy(tensors / "in" / (tensor.name + ".npy"), tensor);
      const auto rows = inputs.begin()->second.shape.front();
      const Checks none{false, false};  // the files are in question here, not the inputs
      const auto whole = endpoint.run(inputs, none);
      for (std::int64_t row = 0; row < rows; ++row) {
        Tensors one;
        for (const auto& [name, tensor] : inputs) one[name] = detail::one_row(tensor, row);
        for (auto& [name, tensor] : endpoint.run(one, none)) {
          auto& values = single[name].values;
          values.insert(values.end(), tensor.values.begin(), tensor.values.end());
        }
      }
      for (const auto& tensor : spec.outputs) {
        const auto file = tensors / "out" / (tensor.name + ".npy");
        const auto expected = detail::read_npy(file, tensor);
        if (expected.shape.front() != rows)
          throw IntegrityError(detail::text(file.string(), ": expected ", rows, " rows: copy the folder again"));
        Comparison line{spec.name, tensor.name, rows, 0, 0, true};
        line.whole = largest(tensor, whole.at(tensor.name).values, expected.values, line.ok);
        line.single = largest(tensor, single.at(tensor.name).values, expected.values, line.ok);
        all.push_back(line);
      }
    }
    return all;
  }

 private:
  static double largest(const TensorSpec& tensor, const std::vector<float>& given, const std::vector<float>& expected,
                        bool& ok) {
    double worst = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      if (!detail::finite(given[i]) || !detail::finite(expected[i])) {
        ok = false;
        return std::numeric_limits<double>::infinity();
      }
      const double difference = std::abs(double{given[i]} - double{expected[i]});
      if (difference > tensor.absolute + tensor.relative * std::abs(double{expected[i]})) ok = false;
      worst = std::max(worst, difference);
    }
    return worst;
  }

  std::filesystem::path folder_;
  Ort::Env env_;
  ModelSpec spec_;
  std::map<std::string, Endpoint> endpoints_;  // after env_, which it needs to the last
};

}  // namespace physzoo

#endif
