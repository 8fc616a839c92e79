// Objects of frames are made only where the interpreter's own frames cannot be looked at: for a small operation
// that would cost more than the operation.
#if defined(__has_include)
#if __has_include(<internal/pycore_frame.h>)
#define PB_INTERPRETER_FRAMES
#define Py_BUILD_CORE 1
#endif
#endif
#include "bindings/places.h"

#include <frameobject.h>
#if PY_VERSION_HEX < 0x030B0000 || PY_VERSION_HEX >= 0x030C0000  // laid out anew in each version
#undef PB_INTERPRETER_FRAMES
#endif
#if defined(PB_INTERPRETER_FRAMES)
#include <internal/pycore_frame.h>
#endif

#include <array>
#include <unordered_map>
#include <vector>

#include "tape/watch.h"

namespace pb::py {
namespace {

constexpr uint32_t kWholeStack = uint32_t{1} << 31;
constexpr uint32_t kNumber = kByStep - 1;  // the bits below the flags
constexpr size_t kMostPlaces = 1 << 20;  // a program has no more lines than that; a runaway gets place 0
constexpr size_t kFiles = 1024, kRecent = 1024;

PyObject* package_folder = nullptr;
PyObject* format_entries = nullptr;

// Instructions seen, each below the place that called it. A code object stays alive with its place, so that the
// line can be worked out when somebody asks.
struct Place {
  PyCodeObject* code;
  int instruction;
  uint32_t parent;
  friend bool operator==(const Place&, const Place&) = default;
};
struct PlaceHash {
  size_t operator()(const Place& p) const {
    uint64_t h = reinterpret_cast<uintptr_t>(p.code) * 0x9E3779B97F4A7C15ull;
    h = (h ^ (h >> 29) ^ static_cast<uint64_t>(p.instruction)) * 0x9E3779B97F4A7C15ull;
    return (h ^ (h >> 29) ^ p.parent) * 0x9E3779B97F4A7C15ull;
  }
};

std::vector<Place>& places() {
  static auto& all = *new std::vector<Place>(1);
  return all;
}

uint32_t intern(const Place& p) {
  static auto& known = *new std::unordered_map<Place, uint32_t, PlaceHash>();
  static auto& recent = *new std::array<uint32_t, kRecent>();  // spares a loop's places the search
  uint32_t& last = recent[PlaceHash()(p) >> 32 & (kRecent - 1)];
  if (places()[last] == p) return last;
  if (auto it = known.find(p); it != known.end()) return last = it->second;
  if (places().size() >= kMostPlaces) return 0;
  const auto number = static_cast<uint32_t>(places().size());
  known.emplace(p, number);
  places().push_back(p);
  Py_INCREF(reinterpret_cast<PyObject*>(p.code));
  return last = number;
}

// Whether the code is this package's own. Asked for every frame, so answers are kept by the file name's address.
bool in_package(PyCodeObject* code) {
  struct Answer {
    PyObject* file = nullptr;  // held, so that the address stays its own
    bool inside = false;
  };
  static auto& answers = *new std::array<Answer, kFiles>();
  PyObject* file = code->co_filename;
  Answer& a = answers[(reinterpret_cast<uintptr_t>(file) >> 4) % kFiles];
  if (a.file == file) return a.inside;
  a.inside =
      package_folder && PyUnicode_Tailmatch(file, package_folder, 0, PyUnicode_GET_LENGTH(file), -1) == 1;
  Py_XSETREF(a.file, Py_NewRef(file));
  return a.inside;
}

// The frames of this thread, innermost first.
#if defined(PB_INTERPRETER_FRAMES)
class Frames {
 public:
  Frames() : frame_(PyThreadState_Get()->cframe->current_frame) { skip_incomplete(); }
  explicit operator bool() const { return frame_ != nullptr; }
  PyCodeObject* code() const { return frame_->f_code; }
  int instruction() const {
    return _PyInterpreterFrame_LASTI(frame_) * static_cast<int>(sizeof(_Py_CODEUNIT));
  }
  void next() {
    frame_ = frame_->previous;
    skip_incomplete();
  }

 private:
  void skip_incomplete() {
    while (frame_ && _PyFrame_IsIncomplete(frame_)) frame_ = frame_->previous;
  }
  _PyInterpreterFrame* frame_;
};
#else
class Frames {
 public:
  Frames() : frame_(Owned::borrow(reinterpret_cast<PyObject*>(PyEval_GetFrame()))) { look(); }
  explicit operator bool() const { return static_cast<bool>(frame_); }
  PyCodeObject* code() const { return reinterpret_cast<PyCodeObject*>(code_.get()); }
  int instruction() const {
#if PY_VERSION_HEX >= 0x030B0000
    return PyFrame_GetLasti(frame());
#else
    return frame()->f_lasti * 2;  // counted in pairs of bytes
#endif
  }
  void next() {
    frame_ = Owned(reinterpret_cast<PyObject*>(PyFrame_GetBack(frame())));
    look();
  }

 private:
  PyFrameObject* frame() const { return reinterpret_cast<PyFrameObject*>(frame_.get()); }
  void look() {
    if (frame_) code_ = Owned(reinterpret_cast<PyObject*>(PyFrame_GetCode(frame())));
  }
  Owned frame_, code_;
};
#endif

uint32_t line_here() {
  uint32_t innermost = 0;
  for (Frames f; f; f.next()) {
    if (!in_package(f.code())) return intern({f.code(), f.instruction(), 0});
    if (!innermost) innermost = intern({f.code(), f.instruction(), 0});
  }
  return innermost;
}

// The user's frames and those below them; this package's own frames on top would be noise.
uint32_t stack_here() {
  std::vector<Place> calls;
  for (Frames f; f; f.next()) {
    if (calls.empty() && in_package(f.code())) continue;
    calls.push_back({f.code(), f.instruction(), 0});  // the frames keep their code alive meanwhile
  }
  uint32_t place = 0;
  for (auto it = calls.rbegin(); it != calls.rend(); ++it) place = intern({it->code, it->instruction, place});
  return place ? place | kWholeStack : 0;
}

Owned entry(const Place& p) {
  return own(
      Py_BuildValue("(OiO)", p.code->co_filename, PyCode_Addr2Line(p.code, p.instruction), p.code->co_name));
}

Owned formatted(PyObject* entries) {
  if (!format_entries) fail(ErrorKind::Runtime, "places are asked for before the package is complete");
  return own(PyObject_CallOneArg(format_entries, entries));
}

}  // namespace

uint32_t place_here(bool stack) { return stack ? stack_here() : line_here(); }

PyObject* place_entries(uint32_t place) {
  Owned list = own(PyList_New(0));
  for (place &= kNumber; place; place = places()[place].parent)
    check(PyList_Append(list.get(), entry(places()[place]).get()));
  check(PyList_Reverse(list.get()));
  return list.release();
}

std::string place_text(uint32_t place) {
  uint32_t own_line = place & kNumber;
  for (uint32_t p = own_line; p; p = places()[p].parent) {
    if (in_package(places()[p].code)) continue;
    own_line = p;
    break;
  }
  if (!own_line) return {};
  const Owned list = own(PyList_New(0));
  check(PyList_Append(list.get(), entry(places()[own_line]).get()));
  const Owned lines = formatted(list.get());
  std::string all;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(lines.get()); ++i)
    all += PyUnicode_AsUTF8(PyList_GET_ITEM(lines.get(), i));
  return all;
}

PyObject* stack_of(const Node& n) {
  if (!(n.place & kWholeStack)) return nullptr;
  const Owned entries = own(place_entries(n.place));
  return formatted(entries.get()).release();
}

void set_place_format(PyObject* package, PyObject* format) {
  Py_XSETREF(package_folder, Py_NewRef(package));
  Py_XSETREF(format_entries, Py_NewRef(format));
}

}  // namespace pb::py
