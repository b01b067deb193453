// A stand-in for CMSSW's BoostedJetONNXJetTagsProducer: reads preprocess.json and variables of jets, and prints the scores of each
// jet, a line a jet, for tests/test_cmssw_cpp.py. Rules: https://github.com/cms-sw/cmssw, RecoBTag/FeatureTools/src/deep_helpers.cc.

#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

struct Info {
  float median, norm_factor, replace_inf_value, lower_bound, upper_bound, pad;
};

struct Group {
  std::string name;
  std::vector<std::string> variables;
  std::vector<Info> infos;
  std::size_t least, most;
};

std::vector<Group> read_groups(const fs::path& file) {
  std::ifstream stream(file);
  const auto json = nlohmann::json::parse(stream);
  std::vector<Group> groups;
  for (const std::string name : json.at("input_names")) {
    const auto& told = json.at(name);
    Group group{name, told.at("var_names").get<std::vector<std::string>>(), {}, 0, 0};
    const bool fixed = told.contains("var_length");
    group.least = told.at(fixed ? "var_length" : "min_length");
    group.most = told.at(fixed ? "var_length" : "max_length");
    for (const auto& variable : group.variables) {
      const auto& info = told.at("var_infos").at(variable);
      const Info found{info.at("median"),      info.at("norm_factor"), info.at("replace_inf_value"),
                       info.at("lower_bound"), info.at("upper_bound"), info.value("pad", 0.0f)};
      if (found.pad < found.lower_bound || found.pad > found.upper_bound || group.least > group.most)
        throw std::runtime_error("CMSSW asserts lower_bound <= pad <= upper_bound and min_length <= max_length: " + variable);
      group.infos.push_back(found);
    }
    groups.push_back(group);
  }
  return groups;
}

template <class T>
std::vector<T> read_numbers(const fs::path& file) {
  std::vector<T> numbers(fs::file_size(file) / sizeof(T));
  std::ifstream stream(file, std::ios::binary);
  stream.read(reinterpret_cast<char*>(numbers.data()), static_cast<std::streamsize>(numbers.size() * sizeof(T)));
  if (!stream) throw std::runtime_error("cannot read " + file.string());
  return numbers;
}

/// Appends a variable of one jet, shifted, scaled and clamped, padded to the least and cut to the most.
void append(std::vector<float>& values, const float* given, std::size_t size, std::size_t length, const Info& info) {
  for (std::size_t i = 0; i < length; ++i) {
    if (i >= size) {
      values.push_back(info.pad);
      continue;
    }
    const bool usable = std::isfinite(given[i]) && given[i] >= -1e32f && given[i] <= 1e32f;
    const float value = usable ? given[i] : info.replace_inf_value;
    values.push_back(std::clamp((value - info.median) * info.norm_factor, info.lower_bound, info.upper_bound));
  }
}

std::vector<float> scores(Ort::Session& session, const std::vector<Group>& groups,
                          const std::map<std::string, std::vector<float>>& variables, std::size_t start, std::size_t size) {
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  std::vector<std::vector<float>> values(groups.size());
  std::vector<Ort::Value> tensors;
  std::vector<const char*> names;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const auto& group = groups[g];
    const auto length = std::clamp(size, group.least, group.most);
    for (std::size_t v = 0; v < group.variables.size(); ++v)
      append(values[g], variables.at(group.variables[v]).data() + start, size, length, group.infos[v]);
    const std::int64_t shape[] = {1, static_cast<std::int64_t>(group.variables.size()), static_cast<std::int64_t>(length)};
    tensors.push_back(Ort::Value::CreateTensor<float>(memory, values[g].data(), values[g].size(), shape, 3));
    names.push_back(group.name.c_str());
  }
  Ort::AllocatorWithDefaultOptions allocator;
  const auto output = session.GetOutputNameAllocated(0, allocator);  // only the first output is read
  const char* outputs[] = {output.get()};
  auto answers = session.Run(Ort::RunOptions{nullptr}, names.data(), tensors.data(), tensors.size(), outputs, 1);
  const float* first = answers[0].GetTensorData<float>();
  return {first, first + answers[0].GetTensorTypeAndShapeInfo().GetElementCount()};
}

}  // namespace

// cmssw_producer TAGGER JETS CLASSES: JETS has counts.i64 and a file <variable>.f32 for each variable, all jets one after the other.
int main(int argc, char** argv) try {
  if (argc != 4) return 2;
  const fs::path tagger(argv[1]), jets(argv[2]);
  const auto flavors = static_cast<std::size_t>(std::stoul(argv[3]));
  const auto groups = read_groups(tagger / "preprocess.json");
  std::map<std::string, std::vector<float>> variables;
  for (const auto& group : groups)
    for (const auto& name : group.variables) variables[name] = read_numbers<float>(jets / (name + ".f32"));
  Ort::Env env(ORT_LOGGING_LEVEL_ERROR, "producer");
  Ort::SessionOptions options;
  options.SetIntraOpNumThreads(1);
  Ort::Session session(env, (tagger / "model.onnx").c_str(), options);
  std::size_t start = 0;
  for (const auto count : read_numbers<std::int64_t>(jets / "counts.i64")) {
    const auto size = static_cast<std::size_t>(count);
    std::vector<float> found(flavors, 0.0f);  // what a jet without features keeps
    if (size > 0) found = scores(session, groups, variables, start, size);
    if (found.size() != flavors) throw std::runtime_error("CMSSW asserts as many outputs as flavors");
    for (float score : found) std::printf("%.9g ", static_cast<double>(score));
    std::printf("\n");
    start += size;
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
