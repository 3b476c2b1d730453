/* Memory of the thread where memory of the device is wanted. */
#include "val.h"

#define PLANTED_ARGS(X)
FND_STAGE(planted, PLANTED_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, "breaks a rule")
FND_INLINE fnd_val planted(fnd_val v, fnd_at at) {
    (void)at;
    f32 x[4];
    x[0] = v;
    return fnd_vec_sum(fnd_vec_load_f16((const FND_GPU u16 *)0)) + fnd_act_get(fnd_in((FND_OWN u8 *)x, FND_ACT_F32), 0); /* planted */
}
