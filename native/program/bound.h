// A program bound to the metas of its inputs: shapes worked out, elementwise runs fused, memory planned.
#pragma once
#include <vector>

#include "core/storage.h"
#include "program/program.h"
#include "runtime/pool.h"

namespace pb {

inline constexpr int64_t kReleaseWork =
    1 << 18;  // cost-weighted elements from which other Python threads may run

struct Array {  // a view of a storage: what a tensor holds
  Ref<Storage> storage;
  Ref<Meta> meta;
  int64_t offset = 0;  // elements

  void* data() const { return static_cast<char*>(storage->data()) + offset * size_of(meta->dtype); }
  Placed placed() const { return {data(), meta.get()}; }
  static Array allocate(Ref<Meta> meta);
};

struct Location {  // where a value lies
  int32_t buffer = -1;
  int64_t offset = 0;  // elements
  Ref<Meta> meta;
};

struct Buffer {
  enum class Kind : uint8_t { Input, Output, Temp };
  Kind kind;
  int32_t index = 0;    // Input: position; Output: number of the new storage
  int64_t bytes = 0;
  int64_t offset = 0;   // Temp: bytes from the start of the arena
};

// A location as a run finds it: bytes from where something begins.
struct Address {
  int32_t base;  // the new storages, then the arena, then the inputs
  int64_t bytes;
};

struct Register {
  enum class Kind : uint8_t {
    Block,    // lives in scratch, one block at a time
    Linear,   // memory in the order of the iteration
    Strided,  // loaded (or stored) block by block through strides
    Spread,   // one element of memory, the same for the whole iteration
    Number    // a scalar expression
  };
  Kind kind;
  DType dtype;
  int32_t source = -1;    // Linear, Strided, Spread: location; Number: scalar expression
  int32_t scratch = -1;   // all but Linear: number of the scratch block
  int32_t strides = -1;   // Strided: index into ElementwiseStep::strides
  bool written = false;   // by an instruction of the step
};

struct BlockInstruction {
  BlockFn fn;
  uint16_t out, a, b, c;
};

struct StoreInstruction {  // a block register written to memory through strides at the end of a block
  uint16_t from;
  int32_t location;
  int32_t strides;  // -1: linear
  bool early = false;  // nothing reads the old elements once the new ones are known
};

struct SumInstruction {  // the sums of a register's elements, run by run
  uint16_t from;
  int32_t location;
};

struct ElementwiseStep {
  Dims shape;               // collapsed iteration space, outermost first
  int64_t count = 0;
  int32_t cost = 0;         // of one element
  int32_t scratch_blocks = 0;
  int32_t widest = 4;       // bytes of the widest register
  bool simple = false;      // one instruction, everything linear
  PooledVector<Register> registers;
  PooledVector<BlockInstruction> body;
  PooledVector<StoreInstruction> stores;
  PooledVector<SumInstruction> sums;
  int64_t sum_run = 0;      // elements that lie side by side and are added to one
  PooledVector<Dims> strides;
};

struct KernelStep {
  const Op* op;
  PooledVector<int32_t> in, out;      // locations; -1 in `in`: a scalar
  PooledVector<int32_t> numbers;      // scalar expressions, in order
  PooledVector<int64_t> ints;
};

struct Step {
  int32_t elementwise = -1, kernel = -1;  // one of the two
};

class Bound : public FromPool<Bound> {
 public:
  struct Result {
    int32_t location;
    int32_t input = -1;    // the elements are those of this input
    int32_t storage = -1;  // or: number of the new storage
    int32_t holder = -1;   // an earlier result in the same new storage
  };

  // Throws torch's shape and dtype errors. Guards must have been checked before.
  static Ref<Bound> bind(Ref<Program> program, std::span<const Meta* const> inputs,
                         std::span<const int64_t> params);

  // `inputs` must have the metas that were bound; elements of inputs that the program does not read may be absent.
  // New arrays are appended to `out`, except in-place results, which are the input arrays themselves.
  // `donated`: inputs (by bit) whose memory nobody needs afterwards; a result may take it over.
  // `over_first`: the first result is written over the first input; only where may_overwrite_first().
  void run(std::span<const Array* const> inputs, std::span<const Scalar> scalars, std::span<Array> out,
           uint64_t donated = 0, bool over_first = false) const;

  // May the first result take the place of the first input's elements, if its meta is the same and no other
  // input lies in that memory?
  bool may_overwrite_first() const { return may_overwrite_first_; }

  const Program& program() const { return *program_; }
  const PooledVector<Result>& results() const { return results_; }
  const Meta* result_meta(int i) const { return locations_[results_[i].location].meta.get(); }

  int64_t result_offset(int i) const {
    return locations_[results_[i].location].offset;
  }  // within its storage

  void retain() { ++refs_; }
  void release() {
    if (--refs_ == 0) delete this;
  }

 private:
  friend class Binder;
  void make_results(std::span<const Array* const> inputs, std::span<Array> out, uint64_t donated,
                    bool over_first, char** bases) const;
  Ref<Storage> storage_for(size_t k, std::span<const Array* const> inputs, uint64_t& donated) const;

  uint32_t refs_ = 0;
  Ref<Program> program_;
  PooledVector<Location> locations_;
  PooledVector<Address> addresses_;  // of the locations
  PooledVector<Buffer> buffers_;
  PooledVector<int32_t> new_storages_;  // buffer of each new storage
  PooledVector<PooledVector<int32_t>> donors_;  // for each: inputs whose memory it may take over
  PooledVector<Step> steps_;
  PooledVector<ElementwiseStep> elementwise_;
  PooledVector<KernelStep> kernels_;
  PooledVector<Result> results_;
  PooledVector<int64_t> sizes_;         // values of the program's int expressions
  int64_t arena_bytes_ = 0;
  bool unlocks_ = false;               // a step may let other Python threads run
  bool may_overwrite_first_ = false;
};

}  // namespace pb
