// The negative log likelihood of target classes.
#include "core/shape.h"
#include "kernels/nll.h"
#include "ops/common.h"
#include "ops/tables.h"

namespace pb {
namespace {

void check_batch(int64_t inputs, int64_t targets) {
  if (inputs == targets) return;
  fail(ErrorKind::Value, "Expected input batch_size (", inputs, ") to match target batch_size (", targets,
       ").\nThe input holds one row of scores for each target.");
}

// The input is (c), (n, c) or (n, c, d...), the target () or (1), (n), (n, d...).
void check_target(const Meta& input, const Meta& target) {
  if (target.ndim > 1 && (input.ndim == 1 || input.ndim == 2)) {
    fail(ErrorKind::Shape,
         "0D or 1D target tensor expected, multi-target not supported\nThe target has the shape ",
         shape_text(target.shape()), "; it holds one class for each row of the input.");
  }
  if (target.dtype != DType::Int64 && target.dtype != DType::UInt8) {
    fail(ErrorKind::Dtype, "expected target dtype to be Long or Byte, but got ", type_name(target.dtype),
         "\nTargets are class numbers; convert them with .long().");
  }
  if (input.ndim == 0) fail(ErrorKind::Value, "Expected 1 or more dimensions (got 0)");
  if (input.ndim == 1) {
    if (target.numel != 1) {
      fail(ErrorKind::Value, "For 1D input, 1D target must have size 1, but got target size: ", target.numel,
           "\nGive the input a batch axis.");
    }
    return;
  }
  if (input.ndim == 4 && target.ndim != 3) {
    fail(ErrorKind::Shape,
         "only batches of spatial targets supported (3D tensors) but got targets of dimension: ",
         int{target.ndim});
  }
  check_batch(input.size(0), target.ndim ? target.size(0) : 1);
  Dims expected(input.shape());
  expected.erase(1);
  if (expected == Dims(target.shape()) || (input.ndim == 2 && target.ndim == 0)) return;
  if (input.ndim == 4) {
    fail(ErrorKind::Shape, "size mismatch (got input: ", shape_text(input.shape()),
         " , target: ", shape_text(target.shape()));
  }
  fail(ErrorKind::Shape, "Expected target size ", shape_text(expected), ", got ", shape_text(target.shape()));
}

void check_weight(const Meta& input, const Meta& weight) {
  const int64_t classes = input.size(input.ndim > 1 ? 1 : 0);
  if (weight.ndim != 1 || weight.numel != classes) {
    if (input.ndim > 2) {
      fail(ErrorKind::Shape, "weight tensor should be defined either for all or no classes\nThere are ",
           classes, " classes, the weights have the shape ", shape_text(weight.shape()), ".");
    }
    fail(ErrorKind::Shape, "weight tensor should be defined either for all ", classes,
         " classes or no classes but got weight tensor of shape: ", shape_text(weight.shape()));
  }
  if (weight.dtype != input.dtype && is_float(input.dtype)) {
    fail(ErrorKind::Dtype, "expected scalar type ", type_name(input.dtype), " but found ",
         type_name(weight.dtype), "\nConvert the weights with .to(input.dtype).");
  }
}

struct Parameters {
  bool weighted;
  LossReduction reduction;
  int64_t ignore_index;
  explicit Parameters(Ints ints)
      : weighted(ints.flag()),
        reduction(static_cast<LossReduction>(ints.next())),
        ignore_index(ints.next()) {}
};

// The loss of each target, or one number; an input of one axis has one target.
Dims loss_shape(const Meta& input, const Meta& target, LossReduction how) {
  if (how != LossReduction::None || input.ndim == 1) return Dims();
  return Dims(target.shape());
}

void infer_forward(std::span<const Operand> in, Ints ints, Metas& out) {
  const Meta &input = *in[0].meta, &target = *in[1].meta;
  const Parameters p(ints);
  check_target(input, target);
  if (p.weighted) check_weight(input, *in[2].meta);
  require_float(input.ndim > 2 ? "nll_loss2d_forward_out_frame" : "nll_loss_out_frame", input.dtype);
  out.push_back(Meta::contiguous(input.dtype, loss_shape(input, target, p.reduction)));
  out.push_back(Meta::contiguous(input.dtype, {}));
}

[[noreturn]] void fail_target(const IndexFault& fault) {
  fail(ErrorKind::Index, "Target ", fault.index, " is out of bounds.\nThe classes are 0 to ", fault.size - 1,
       ".");
}

// The target as int64 and the weights as a row.
struct Target {
  Ready classes;
  std::optional<Ready> weight;
  NllTarget target;

  Target(const Placed& target_in, const Placed* weight_in, int64_t ignore_index)
      : classes(long_index(target_in)) {
    if (weight_in) weight.emplace(weight_in->view(), weight_in->meta->dtype, true);
    target = {classes.view(), weight ? weight->view().data : nullptr, ignore_index};
  }
};

void run_forward(const KernelCall& c) {
  const Parameters p(Ints{c.ints});
  IndexFault fault;
  {
    GilRelease unlocked(is_long(c.in[1].meta->numel));
    const Target t(c.in[1], p.weighted ? &c.in[2] : nullptr, p.ignore_index);
    fault = nll_forward(c.in[0].view(), t.target, p.reduction, c.out[0].view(), c.out[1].data);
  }
  if (fault) fail_target(fault);
}

void infer_backward(std::span<const Operand> in, Ints ints, Metas& out) {
  const Meta &grad = *in[0].meta, &input = *in[1].meta, &target = *in[2].meta;
  const Parameters p(ints);
  check_target(input, target);
  if (p.weighted) check_weight(input, *in[3].meta);
  require_float(input.ndim > 2 ? "nll_loss2d_backward_out_frame" : "nll_loss_backward_out_frame",
                input.dtype);
  const Dims expected = loss_shape(input, target, p.reduction);
  if (expected.n == 0 ? grad.numel != 1 : !(expected == Dims(grad.shape()))) {
    if (expected.n == 0) {
      fail(ErrorKind::Shape,
           "Expected a single element grad_output tensor, but got: ", shape_text(grad.shape()));
    }
    fail(ErrorKind::Shape, "Expected a tensor of dimension ", expected.n, " and shape ", shape_text(expected),
         " but got ", shape_text(grad.shape()));
  }
  const Meta& total = *in[p.weighted ? 4 : 3].meta;
  for (const Meta* m : {&grad, &total}) {
    if (m->dtype == input.dtype) continue;
    fail(ErrorKind::Dtype, "expected scalar type ", type_name(input.dtype), " but found ",
         type_name(m->dtype));
  }
  out.push_back(Meta::contiguous(input.dtype, input.shape()));
}

void run_backward(const KernelCall& c) {
  const Parameters p(Ints{c.ints});
  const void* total_weight = c.in[p.weighted ? 4 : 3].data;
  IndexFault fault;
  {
    GilRelease unlocked(is_long(c.out[0].meta->numel));
    const Target t(c.in[2], p.weighted ? &c.in[3] : nullptr, p.ignore_index);
    View grad = c.in[0].view();
    if (c.in[1].meta->ndim == 1) grad.ndim = 0;
    fault = nll_backward(grad, t.target, p.reduction, total_weight, c.out[0].view());
  }
  if (fault) fail_target(fault);
}

}  // namespace

std::span<const KernelRow> loss_rows() {
  static constexpr KernelRow kRows[] = {
      {"nll_loss", infer_forward, run_forward, false},
      {"nll_loss_backward", infer_backward, run_backward, false},
  };
  return kRows;
}

}  // namespace pb
